/** Reads /api/v1/events?differences: a state, and then its changes. See state-difference.ts. */

/** The state after the difference. What did not change is the same object as before. */
export function applied(state, { state: rest, nodes, routes, troubles }) {
  return {
    ...state,
    ...rest,
    nodes: nodes === undefined ? state.nodes : entries(state.nodes, nodes, 'id').toSorted(by('id')),
    routes: routes === undefined ? state.routes : changedRoutes(state.routes, routes),
    troubles: troubles === undefined ? state.troubles : changedTroubles(state.troubles, troubles),
  };
}

/** `set` replaces entries by their ids, or adds them at the end. */
function entries(before, { set, gone }, key) {
  const known = new Map(before.map((entry) => [entry[key], entry]));
  for (const name of gone) known.delete(name);
  for (const entry of set) known.set(entry[key], entry);
  return [...known.values()];
}

function changedRoutes(before, { set, gone }) {
  const known = new Map(before.map((route) => [route.name, route]));
  for (const name of gone) known.delete(name);
  let isNew = false;
  for (const { instances, ...fields } of set) {
    const route = known.get(fields.name);
    isNew ||= route === undefined;
    known.set(fields.name, { ...route, ...fields, instances: changedInstances(route?.instances ?? [], instances) });
  }
  return isNew ? [...known.values()].toSorted(by('name')) : [...known.values()];
}

/** Newest first. */
function changedInstances(before, change) {
  return change === undefined ? before : entries(before, change, 'id').toSorted((a, b) => b.seq - a.seq);
}

function changedTroubles(before, { count, set }) {
  return Array.from({ length: count }, (_, i) => set[i] ?? before[i]);
}

function by(key) {
  return (a, b) => (a[key] < b[key] ? -1 : 1);
}
