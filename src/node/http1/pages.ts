import { OWN_PAGE, type PageTemplate } from './waiting-page.ts';

/** The pages of an operator: one for each route, one for all others. */
export class Pages {
  #byRoute: ReadonlyMap<string, PageTemplate> = new Map();
  #others = OWN_PAGE;

  /** `others`: of routes without a page of their own; null: pullproxy's. */
  use(byRoute: ReadonlyMap<string, PageTemplate>, others: PageTemplate | null): void {
    this.#byRoute = byRoute;
    this.#others = others ?? OWN_PAGE;
  }

  of(route: string): PageTemplate {
    return this.#byRoute.get(route) ?? this.#others;
  }
}
