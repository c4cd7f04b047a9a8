/**
 * The API server of Kubernetes: found on PATH, in the cache, or built from Debian's source package (1.20, with Debian's Go 1.19; about 7 minutes of
 * two idle processors, at the lowest priority). etcd is Debian's.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE } from '../support/kubernetes-tools.ts';

const PROGRAM = 'kube-apiserver';
const VERSION = '1.20.2';
const BUILT = join(CACHE, `kubernetes-${VERSION}`);
const SOURCES = '/etc/apt/sources.list.d/pullproxy-kubernetes-source.sources';

/** As Makefile.generated_files of Kubernetes does it. $0: the generator, $1: a file for what it finds wrong. */
const GENERATE = `
vendored=$(ls -d vendor/k8s.io/*/ | grep -v -e code-generator -e sample-apiserver)
folders=$(grep -rl --include='*.go' '+k8s:openapi-gen=' $vendored pkg cmd | xargs -n1 dirname | sort -u | sed 's|^|k8s.io/kubernetes/|' | paste -sd,)
exec nice -n 19 "$0" -i "$folders" -p k8s.io/kubernetes/pkg/generated/openapi -O zz_generated.openapi \
  -h vendor/k8s.io/code-generator/hack/boilerplate.go.txt -r "$1"
`;

export interface Binaries {
  readonly apiServer: string;
  readonly etcd: string;
}

/** Null where they would have to be built first. */
function binariesIfAny(): Binaries | null {
  const etcd = onPath('etcd');
  const apiServer = onPath(PROGRAM) ?? (existsSync(join(BUILT, PROGRAM)) ? join(BUILT, PROGRAM) : null);
  return etcd && apiServer ? { etcd, apiServer } : null;
}

/** Builds what is missing. @throws Error with what is missing on this machine */
export function binaries(say: (line: string) => void): Binaries {
  if (onPath('etcd') === null) throw new Error('etcd is missing: apt-get install --no-install-recommends etcd-server');
  if (binariesIfAny() === null) build(say);
  const found = binariesIfAny();
  if (found === null) throw new Error(`${BUILT} has not what was built`);
  return found;
}

function onPath(name: string): string | null {
  const { status, stdout } = spawnSync('sh', ['-c', 'command -v "$0"', name], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}

function build(say: (line: string) => void): void {
  if (onPath('go') === null) throw new Error('Go is missing: apt-get install --no-install-recommends golang-go');
  mkdirSync(CACHE, { recursive: true });
  const folder = mkdtempSync(join(CACHE, 'kubernetes-build-'));
  const run = (program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}, cwd = folder): void => {
    // Go finds what a package imports by the path below GOPATH, which is a link here; only PWD says that path.
    execFileSync(program, args, { cwd, stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, PWD: cwd, ...env } });
  };
  try {
    say(`fetching the source of Kubernetes ${VERSION}`);
    withSources(() => {
      run('apt-get', ['update', '-q']);
      run('apt-get', ['source', '-q', 'kubernetes']);
    });
    const source = readdirSync(folder, { withFileTypes: true }).find((entry) => entry.isDirectory() && entry.name.includes(VERSION));
    if (source === undefined) throw new Error(`Debian's source package is no longer that of ${VERSION}`);
    const place = join(folder, 'go/src/k8s.io');
    mkdirSync(place, { recursive: true });
    symlinkSync(join(folder, source.name), join(place, 'kubernetes'));
    say('building (about 7 minutes where nothing else runs)');
    const env = { GOPATH: join(folder, 'go'), GO111MODULE: 'off', GOFLAGS: '', CGO_ENABLED: '0', GOCACHE: join(folder, 'cache') };
    const go = (...args: string[]): void => run('nice', ['-n', '19', 'go', 'build', ...args], env, join(place, 'kubernetes'));
    // The one part of the source that is not in it: what the API says of its objects.
    const generator = join(folder, 'openapi-gen');
    go('-o', generator, 'k8s.io/kubernetes/vendor/k8s.io/kube-openapi/cmd/openapi-gen');
    run('sh', ['-c', GENERATE, generator, join(folder, 'report')], env, join(place, 'kubernetes'));
    // What the program says of itself, and what its API says: Helm asks that.
    const version = ['component-base/version', 'client-go/pkg/version']
      .map((name) => `k8s.io/kubernetes/vendor/k8s.io/${name}`)
      .map((at) => `-X ${at}.gitVersion=v${VERSION} -X ${at}.gitMajor=1 -X ${at}.gitMinor=20`)
      .join(' ');
    mkdirSync(join(folder, 'done'));
    // Without the clouds, which are a sixth of all.
    const flags = ['-tags', 'providerless', '-trimpath', '-ldflags', `-s -w ${version}`, '-o', `${join(folder, 'done')}/`];
    go(...flags, `k8s.io/kubernetes/cmd/${PROGRAM}`);
    rmSync(BUILT, { recursive: true, force: true });
    renameSync(join(folder, 'done'), BUILT);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Debian's source packages, where they are not among apt's lists. */
function withSources(work: () => void): void {
  const signed = '/usr/share/keyrings/debian-archive-keyring.gpg';
  const lines = ['Types: deb-src', 'URIs: http://deb.debian.org/debian', 'Suites: bookworm', 'Components: main', `Signed-By: ${signed}`];
  const isThere = spawnSync('apt-cache', ['showsrc', 'kubernetes'], { encoding: 'utf8' }).stdout.includes(VERSION);
  if (!isThere) writeFileSync(SOURCES, `${lines.join('\n')}\n`);
  try {
    work();
  } finally {
    if (!isThere) rmSync(SOURCES);
  }
}
