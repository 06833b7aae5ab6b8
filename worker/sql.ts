/** The object's SQLite with a count of the rows written, because the free plan counts them too. */
export type Row = Record<string, SqlStorageValue>

export class CountedSql {
  readonly #sql: SqlStorage
  #rowsWritten = 0

  constructor(sql: SqlStorage) {
    this.#sql = sql
  }

  /** Runs a statement that writes; returns how many rows that cost. */
  run(query: string, ...bindings: readonly (string | number | null)[]): number {
    const { rowsWritten } = this.#sql.exec(query, ...bindings)
    this.#rowsWritten += rowsWritten
    return rowsWritten
  }

  rows(query: string, ...bindings: readonly (string | number | null)[]): readonly Row[] {
    return this.#sql.exec(query, ...bindings).toArray()
  }

  /** Rows written since the last call, for the meter. */
  takeRowsWritten(): number {
    const rows = this.#rowsWritten
    this.#rowsWritten = 0
    return rows
  }
}
