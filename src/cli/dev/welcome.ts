export interface Welcome {
  /** URLs that were bound. */
  readonly listen: readonly string[];
  /** HOST:PORT of the admin port. */
  readonly admin: string;
  readonly route: string;
  readonly command: readonly string[];
  readonly minInstances: number;
}

/** What `dev` tells the person who started it: where to click, and what happens then. */
export function welcome({ listen, admin, route, command, minInstances }: Welcome): string {
  const url = clickable(listen[0] ?? '');
  const exact = route !== '*' && !route.startsWith('*.');
  return [
    '',
    '  pullproxy is ready.',
    '',
    `  Your application:   ${url}${route === '*' ? '' : `   (for the host ${route})`}`,
    `  What is going on:   ${clickable(`http://${admin}`)}`,
    '',
    minInstances === 0 ? '  Nothing runs yet. The first request starts an instance of' : `  Kept running, ${minInstances} at least:`,
    `      ${command.join(' ')}`,
    '  more requests than it can take start more, and idle ones leave by themselves.',
    ...(exact ? ['', `  Try it:  curl -H "Host: ${route}" ${url}`] : []),
    '',
    '  Ctrl-C ends it all.',
    '',
    '',
  ].join('\n');
}

/** "All addresses" is no place to go to; this machine is. */
function clickable(url: string): string {
  return `${url.replace('//0.0.0.0:', '//127.0.0.1:').replace('//[::]:', '//[::1]:')}/`;
}
