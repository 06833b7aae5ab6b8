/** What is due in true time. What is due at one time runs in the order in which it was asked for. */
interface Due {
  readonly at: number
  readonly run: () => void
}

export class Agenda {
  readonly #due: Due[] = []

  /** When the first is due; infinity: nothing is. */
  get next(): number {
    return this.#due[0]?.at ?? Number.POSITIVE_INFINITY
  }

  add(at: number, run: () => void): void {
    let index = this.#due.length
    while (index > 0 && (this.#due[index - 1]?.at ?? 0) > at) index -= 1
    if (index === this.#due.length) this.#due.push({ at, run })
    else this.#due.splice(index, 0, { at, run })
  }

  runNext(): void {
    this.#due.shift()?.run()
  }
}
