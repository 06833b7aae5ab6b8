/** A receiver for tests: an HTTP server that answers each path as it is told to, and remembers who asked for what and when. */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { now } from "./waiting.ts"

export interface Asked {
  /** The first part of the path. */
  readonly name: string
  readonly at: number
  readonly body: string
}

/** `turn`: how often this path was asked before. */
export type Answerer = (response: ServerResponse, turn: number, request: IncomingMessage) => void

export class AnsweringServer {
  readonly asked: Asked[] = []
  readonly #server: Server
  readonly #answers: Readonly<Record<string, Answerer>>

  constructor(answers: Readonly<Record<string, Answerer>>) {
    this.#answers = answers
    this.#server = createServer((request, response) => {
      const chunks: Buffer[] = []
      request.on("data", (chunk: Buffer) => chunks.push(chunk))
      request.on("end", () => this.#answer(request, response, Buffer.concat(chunks).toString("utf8")))
      request.on("error", () => undefined)
    })
  }

  listen(): Promise<number> {
    return new Promise((resolve) => {
      this.#server.listen(0, "127.0.0.1", () => resolve((this.#server.address() as AddressInfo).port))
    })
  }

  of(name: string): readonly Asked[] {
    return this.asked.filter((each) => each.name === name)
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }

  #answer(request: IncomingMessage, response: ServerResponse, body: string): void {
    const name = request.url?.split("/")[1] ?? ""
    const turn = this.of(name).length
    this.asked.push({ name, at: now(), body })
    const answer = this.#answers[name]
    if (answer === undefined) response.writeHead(404).end()
    else answer(response, turn, request)
  }
}
