/** The tables of a document in Markdown. */

/** The rows of the table with this first line, each cell without its code marks. @throws Error when there is none. */
export function tableOf(text: string, heading: string): string[][] {
  const from = text.indexOf(`\n${heading}\n`);
  if (from < 0) throw new Error(`no table ${heading}`);
  const [rows = ''] = text.slice(from + 1).split('\n\n', 1);
  return rows
    .split('\n')
    .slice(2)
    .map((row) => cells(row).map((cell) => cell.replace(/^`(.*)`$/, '$1')));
}

function cells(row: string): string[] {
  return row
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
}
