export interface Column<Row> {
  readonly title: string;
  readonly read: (row: Row) => string | number;
}

const GAP = '  ';
/** A column that is cut keeps at least this many characters. */
const NARROWEST = 8;

/** Lines of a table that is at most `width` wide: text columns give way, the widest first; numbers stay whole and stand at the right. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], width: number): string[] {
  const cells = rows.map((row) => columns.map(({ read }) => read(row)));
  const numeric = columns.map((_, at) => cells.length > 0 && cells.every((row) => typeof row[at] === 'number'));
  const widths = columns.map(({ title }, at) => Math.max(title.length, ...cells.map((row) => String(row[at]).length)));
  narrow(widths, numeric, width - GAP.length * (columns.length - 1));
  const line = (row: readonly (string | number)[]): string =>
    row
      .map((cell, at) => {
        const room = widths[at] ?? 0;
        return numeric[at] ? String(cell).padStart(room) : cut(String(cell), room).padEnd(room);
      })
      .join(GAP)
      .trimEnd();
  return [line(columns.map(({ title }) => title)), ...cells.map(line)];
}

function narrow(widths: number[], numeric: readonly boolean[], width: number): void {
  for (let excess = widths.reduce((sum, one) => sum + one, 0) - width; excess > 0; excess--) {
    const texts = widths.map((one, at) => (numeric[at] ? 0 : one));
    const widest = Math.max(...texts);
    if (widest <= NARROWEST) return;
    widths[texts.indexOf(widest)] = widest - 1;
  }
}

function cut(text: string, room: number): string {
  return text.length <= room ? text : `${text.slice(0, room - 1)}…`;
}
