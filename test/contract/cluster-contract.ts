import { afterAll, afterEach, beforeEach, describe } from '@jest/globals';
import { agents } from './suite/agents.ts';
import { configuredRoutes } from './suite/configured-routes.ts';
import { declarations } from './suite/declarations.ts';
import { endedStarts } from './suite/ended-starts.ts';
import { failingStarts } from './suite/failing-starts.ts';
import { handoff } from './suite/handoff.ts';
import { history } from './suite/history.ts';
import { holding } from './suite/holding.ts';
import { instances } from './suite/instances.ts';
import { keys } from './suite/keys.ts';
import { lateStarts } from './suite/late-starts.ts';
import { membership } from './suite/membership.ts';
import { noSlotLost } from './suite/no-slot-lost.ts';
import { pauses } from './suite/pauses.ts';
import { pictures } from './suite/pictures.ts';
import { resting } from './suite/resting.ts';
import { starts } from './suite/starts.ts';
import { waits } from './suite/waits.ts';
import { type Twin, World } from './world.ts';

/** What every implementation of the cluster does; `world()` is the one of the test that runs. */
export function describeCluster(twin: Twin): void {
  describe(`the cluster, ${twin.name}`, () => {
    let current: World;
    const world = (): World => current;
    beforeEach(async () => {
      current = await World.open(twin);
    });
    afterEach(() => current.close());
    afterAll(() => twin.close());

    handoff(world);
    holding(world);
    instances(world);
    starts(world);
    lateStarts(world);
    keys(world);
    agents(world);
    failingStarts(world);
    endedStarts(world);
    configuredRoutes(world);
    declarations(world);
    pauses(world);
    pictures(world);
    history(world);
    waits(world);
    membership(world);
    resting(world);
    noSlotLost(world);
  });
}
