/** The beats of a node at its routes: where it rests, one look at the revisions of all of them says which ones have changed. */
import { attempt } from '../../boundary.ts';
import type { Directory } from '../directory.ts';
import type { RoutePresence } from './presence.ts';

/** Without a reply all of them beat. */
export async function beatAtRoutes(presences: ReadonlyMap<string, RoutePresence>, directory: Directory): Promise<void> {
  const resting: [string, RoutePresence][] = [];
  for (const [route, presence] of presences) {
    attempt('directory', () => {
      if (!presence.tick()) resting.push([route, presence]);
    });
  }
  if (resting.length === 0) return;
  const revisions = await directory.revisions(resting.map(([route]) => route)).catch(() => []);
  for (const [at, [, presence]] of resting.entries()) attempt('directory', () => presence.see(revisions[at] ?? null));
}
