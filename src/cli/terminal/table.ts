import { type Paint, plain, type Style } from './paint.ts';

export interface Column<Row> {
  readonly title: string;
  readonly read: (row: Row) => string | number;
  /** Columns to leave out when there is no room, the largest number first. */
  readonly spare?: number;
  readonly style?: (row: Row) => Style | null;
}

const GAP = '  ';
/** The least characters of a column that is cut. */
const NARROWEST = 8;

/**
 * The lines of a table of at most `width`. Optional columns go first, then text columns are cut, the widest first. Numbers
 * stay complete and stand at the right.
 */
export function table<Row>(all: readonly Column<Row>[], rows: readonly Row[], width: number, paint: Paint = plain): string[] {
  const columns = withRoom(all, rows, width);
  const cells = rows.map((row) => columns.map(({ read }) => read(row)));
  const numeric = columns.map((_, at) => cells.length > 0 && cells.every((row) => typeof row[at] === 'number'));
  const widths = columns.map((column) => widthOf(column, rows));
  narrow(widths, numeric, width - GAP.length * (columns.length - 1));
  const place = (cell: string | number, at: number): string => {
    const room = widths[at] ?? 0;
    return numeric[at] ? String(cell).padStart(room) : cut(String(cell), room).padEnd(room);
  };
  const title = columns.map((column, at) => place(column.title, at)).join(GAP);
  return [
    paint('dim', title.trimEnd()),
    ...rows.map((row, index) =>
      columns
        .map((column, at) => painted(column, row, place(cells[index]?.[at] ?? '', at), paint))
        .join(GAP)
        .trimEnd(),
    ),
  ];
}

export function cut(text: string, room: number): string {
  return text.length <= room ? text : `${text.slice(0, Math.max(0, room - 1))}…`;
}

function withRoom<Row>(all: readonly Column<Row>[], rows: readonly Row[], width: number): readonly Column<Row>[] {
  const total = all.reduce((sum, column) => sum + widthOf(column, rows), GAP.length * (all.length - 1));
  const most = Math.max(0, ...all.map(({ spare = 0 }) => spare));
  if (total <= width || most === 0) return all;
  const left = all.filter(({ spare }) => spare !== most);
  return withRoom(left, rows, width);
}

function widthOf<Row>({ title, read }: Column<Row>, rows: readonly Row[]): number {
  return rows.reduce((widest, row) => Math.max(widest, String(read(row)).length), title.length);
}

function painted<Row>({ style }: Column<Row>, row: Row, text: string, paint: Paint): string {
  const wanted = style?.(row) ?? null;
  return wanted === null ? text : paint(wanted, text);
}

function narrow(widths: number[], numeric: readonly boolean[], width: number): void {
  for (let excess = widths.reduce((sum, one) => sum + one, 0) - width; excess > 0; excess--) {
    const texts = widths.map((one, at) => (numeric[at] ? 0 : one));
    const widest = Math.max(...texts);
    if (widest <= NARROWEST) return;
    widths[texts.indexOf(widest)] = widest - 1;
  }
}
