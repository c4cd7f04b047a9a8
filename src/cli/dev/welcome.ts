export interface Welcome {
  /** The bound URLs. */
  readonly listen: readonly string[];
  /** HOST:PORT of the admin port. */
  readonly admin: string;
  readonly route: string;
  readonly command: readonly string[];
  readonly minInstances: number;
}

/** The text of `dev` for the person who started it: where to click, and what happens then. */
export function welcome({ listen, admin, route, command, minInstances }: Welcome): string {
  const url = clickable(listen[0] ?? '');
  const exact = route !== '*' && !route.startsWith('*.');
  return [
    '',
    '  pullproxy is ready.',
    '',
    `  Your application:   ${url}${route === '*' ? '' : `   (for the host ${route})`}`,
    `  What is going on:   ${clickable(`http://${admin}`)}`,
    ...listen.slice(1).map((other) => `  It also listens at:  ${other}`),
    ...(listen.some(isForAll) ? ['  Other machines reach it, too.'] : []),
    '',
    minInstances === 0 ? '  No instance runs yet. The first request starts one of' : `  At least ${minInstances} kept running:`,
    `      ${command.join(' ')}`,
    '  More requests than it can take start more instances; idle ones leave.',
    ...(exact ? ['', `  Try it:  curl -H "Host: ${route}" ${url}`] : []),
    '',
    '  Ctrl-C ends everything.',
    '',
    '',
  ].join('\n');
}

function isForAll(url: string): boolean {
  return /\/\/(0\.0\.0\.0|\[::\]):/.test(url);
}

/** "All addresses" can't be opened in a browser; this machine can. */
function clickable(url: string): string {
  return `${url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:')}/`;
}
