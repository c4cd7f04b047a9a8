/** The troubles of one route. */
import type { PausedRoute, RouteSnapshot } from '../cluster/cluster.ts';
import { parseRouteSettings, type RouteSettings } from '../config/route-settings.ts';
import { ConfigError } from '../errors.ts';
import { startFailures } from './start-failures.ts';
import type { Trouble, TroubleContext } from './trouble.ts';
import { about, counted, number } from './words.ts';

/** A shorter hold is no trouble. */
const LONG_HOLD_MS = 2_000;
/** A client that has waited for less has only just come. */
const JUST_NOW_MS = 100;
/** A start that takes longer, or half of its timeout, is mentioned. */
const SLOW_START_MS = 20_000;

type Found = Pick<Trouble, 'severity' | 'code' | 'text' | 'advice'>;

export function routeTroubles(route: RouteSnapshot, context: TroubleContext): Trouble[] {
  const settings = settingsOf(route);
  const found: (Found | null)[] =
    settings instanceof ConfigError
      ? [badSettings(route, settings), clientsHeld(route, parseRouteSettings({}), context)]
      : [queueFull(route, settings), overloaded(route), clientsHeld(route, settings, context), belowMinimum(route, settings, context)];
  return found.filter((one) => one !== null).map((one) => ({ ...one, route: route.name, node: null }));
}

function settingsOf({ settings }: RouteSnapshot): RouteSettings | ConfigError {
  try {
    return parseRouteSettings(settings ?? {});
  } catch (error) {
    if (error instanceof ConfigError) return error;
    throw error;
  }
}

function badSettings({ name }: RouteSnapshot, { problems }: ConfigError): Found {
  return {
    severity: 'error',
    code: 'bad_settings',
    text: `${name}: its settings are invalid and not used: ${problems.join('; ')}`,
    advice: 'Set them again, here or with "pullproxy route set".',
  };
}

function queueFull({ name, held }: RouteSnapshot, { maxHeld }: RouteSettings): Found | null {
  if (held < maxHeld || held === 0) return null;
  return {
    severity: 'error',
    code: 'queue_full',
    text: `${name}: ${counted(held, 'client')} held, and no more are accepted: a new client gets a 503`,
    advice: `maxHeld is ${number(maxHeld)}. Find out why instances are missing, see below; or raise it.`,
  };
}

function overloaded(route: RouteSnapshot): Found | null {
  const { name, held, overload, paused } = route;
  if (overload === null || paused !== null) return null;
  const now = held === 0 ? '' : `${heldFor(route)}; `;
  return {
    severity: 'warning',
    code: 'overload',
    text: `${name}: ${now}more clients come than are served, and they leave: nobody waits for longer than ${about(overload.waitMs)}, the others get a 503`,
    advice:
      'It ends by itself when fewer come. If it lasts: more instances (maxInstances) or a higher concurrency. queueOrder=fifo holds everybody.',
  };
}

/** One sentence about the clients of a route that wait: for what, and whether that is normal. */
function clientsHeld(route: RouteSnapshot, settings: RouteSettings, context: TroubleContext): Found | null {
  if (route.paused !== null) return paused(route, route.paused);
  const failing = startsFail(route, context);
  if (failing !== null) return failing;
  if (route.held === 0) return slowStart(route, settings, '');
  return (
    slotsIdle(route) ??
    nobodyStarts(route, context) ??
    atMaximum(route, settings) ??
    agentsFull(route) ??
    slowStart(route, settings, heldFor(route)) ??
    waiting(route)
  );
}

function paused(route: RouteSnapshot, { sinceMs, leftMs, inFlight }: PausedRoute): Found {
  const held = route.held === 0 ? 'nobody is held yet' : heldFor(route);
  const still = inFlight === 0 ? 'nothing is in flight' : `${counted(inFlight, 'request')} still in flight`;
  return {
    severity: 'warning',
    code: 'paused',
    text: `${route.name}: paused by an operator ${about(sinceMs)} ago, for ${about(leftMs)} more: ${held}, ${still}`,
    advice: `It goes on by itself then, or with "pullproxy route resume ${route.name}". Nobody is started or retired meanwhile.`,
  };
}

function startsFail(route: RouteSnapshot, { jobs, now }: TroubleContext): Found | null {
  const failures = startFailures(route, jobs?.jobs ?? [], now);
  if (failures === null) return null;
  const { count, reason, ageMs, retryInMs } = failures;
  const held = route.held > 0 ? `${counted(route.held, 'client')} held, ` : '';
  const again = retryInMs > 500 ? `again in ${about(retryInMs)}` : route.held > 0 ? 'again at once' : 'again when a client comes';
  const next = `Last tried ${about(ageMs)} ago, ${again}.`;
  // Nobody is held while clients are sent away at once: that is worse, not better.
  const isOut = route.slots === 0 && !route.instances.some(({ state }) => state === 'ready') && retryInMs > 0;
  const out = isOut && route.held === 0 ? 'every client gets a 503, ' : '';
  return {
    severity: route.held > 0 || isOut ? 'error' : 'warning',
    code: 'starts_fail',
    text: `${route.name}: ${out}${held}${counted(count, 'start')} failed: ${reason}`,
    advice:
      route.agents === undefined
        ? `${next} The output of the startup command is under Startup jobs; correct the command where the scaler runs.`
        : `${next} What the application wrote is in the output of its agent; correct its command where the agent runs.`,
  };
}

function slotsIdle(route: RouteSnapshot): Found | null {
  if (route.free === 0 || route.oldestHeldMs < LONG_HOLD_MS) return null;
  return {
    severity: 'error',
    code: 'slots_idle',
    text: `${route.name}: ${heldFor(route)} although ${counted(route.free, 'slot')} ${route.free === 1 ? 'is' : 'are'} free`,
    advice: 'Slots are not moved between nodes: can nodes and linkers reach the backend port of each node (--advertise)?',
  };
}

function nobodyStarts(route: RouteSnapshot, { startedBy, jobs }: TroubleContext): Found | null {
  if (route.instances.length > 0 || route.starting > 0) return null;
  if (startedBy === 'scalers' && jobs?.scalers === 0) {
    return {
      severity: 'error',
      code: 'no_scaler',
      text: `${route.name}: ${heldFor(route)}, and there is no scaler to start an instance`,
      advice: 'Run a scaler with the same Redis: pullproxy scaler --redis URL -- CMD ARG...',
    };
  }
  if (startedBy !== 'nobody' || route.agents !== undefined) return null;
  return {
    severity: 'error',
    code: 'no_instance',
    text: `${route.name}: ${heldFor(route)}, and no instance is linked`,
    advice: 'This node runs without Redis, so nothing starts instances: run a linker by hand, or give the node --redis and run a scaler.',
  };
}

function atMaximum(route: RouteSnapshot, { maxInstances }: RouteSettings): Found | null {
  const begun = route.instances.filter(({ state }) => state !== 'draining').length + route.starts.length;
  if (begun < maxInstances) return null;
  const all = maxInstances === 1 ? 'its only instance is' : `all ${number(maxInstances)} instances are`;
  return {
    severity: route.oldestHeldMs >= LONG_HOLD_MS || maxInstances === 0 ? 'warning' : 'note',
    code: 'at_maximum',
    text:
      maxInstances === 0
        ? `${route.name}: ${heldFor(route)}, and maxInstances is 0`
        : `${route.name}: ${heldFor(route)}: ${all} busy or starting`,
    advice: 'More are not allowed: raise maxInstances if there is room for more.',
  };
}

/** Nothing starts: so there is no startup command either. */
function agentsFull(route: RouteSnapshot): Found | null {
  const { agents, starting } = route;
  if (agents === undefined || agents.room > 0 || starting > 0) return null;
  const [whose, has] = agents.count === 1 ? ['its agent', 'has'] : [`all ${number(agents.count)} agents`, 'have'];
  return {
    severity: route.oldestHeldMs >= LONG_HOLD_MS ? 'warning' : 'note',
    code: 'agents_full',
    text: `${route.name}: ${heldFor(route)}, and ${whose} ${has} no room for another instance (${number(agents.running)} there)`,
    advice:
      'They are served as instances come free. For more: raise MAX of linker --instances, run an agent on another machine, or give the scaler a startup command.',
  };
}

function slowStart(route: RouteSnapshot, { startTimeoutMs }: RouteSettings, heldFor: string): Found | null {
  const slowMs = Math.min(SLOW_START_MS, startTimeoutMs / 2);
  const slow = route.starts.filter(({ ageMs }) => ageMs >= slowMs);
  const [oldest] = slow;
  if (oldest === undefined) return null;
  const held = heldFor === '' ? '' : `${heldFor}, `;
  return {
    severity: 'warning',
    code: 'slow_start',
    text: `${route.name}: ${held}${counted(slow.length, 'start')} not linked after ${about(oldest.ageMs)}`,
    advice: `Counts as failed in ${about(oldest.leftMs)} (startTimeout), then it is started again. Does the linker start, and does it reach a node?`,
  };
}

function waiting(route: RouteSnapshot): Found | null {
  if (route.starting > 0) {
    return {
      severity: 'note',
      code: 'starting',
      text: `${route.name}: ${heldFor(route)}, ${counted(route.starting, 'instance')} starting`,
      advice: 'They are served as soon as one is ready.',
    };
  }
  if (route.oldestHeldMs < LONG_HOLD_MS) return null;
  return {
    severity: 'warning',
    code: 'long_hold',
    text: `${route.name}: ${heldFor(route)}, and nothing is starting`,
    advice: 'All slots are busy. Is there a startup job for the route? See Startup jobs.',
  };
}

function belowMinimum(route: RouteSnapshot, { minInstances }: RouteSettings, { jobs, startedBy }: TroubleContext): Found | null {
  const begun = route.instances.filter(({ state }) => state !== 'draining').length + route.starts.length;
  if (begun >= minInstances || route.trouble !== null || route.paused !== null) return null;
  const none = startedBy === 'scalers' && jobs?.scalers === 0;
  return {
    severity: 'warning',
    code: 'below_minimum',
    text: `${route.name}: ${number(begun)} of at least ${counted(minInstances, 'instance')}`,
    advice: none
      ? 'There is no scaler to start them: pullproxy scaler --redis URL -- CMD ARG...'
      : 'The missing instances are started within seconds.',
  };
}

function heldFor({ held, oldestHeldMs }: RouteSnapshot): string {
  const clients = `${counted(held, 'client')} held`;
  if (oldestHeldMs < JUST_NOW_MS) return clients;
  return `${clients} for ${held === 1 ? '' : 'up to '}${about(oldestHeldMs)}`;
}
