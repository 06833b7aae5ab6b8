import { chmodSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { sha256Hex } from "../../../node-agent/host/config-file.ts"
import {
  createCredential,
  createNodeKey,
  createReceiverKey,
  createRingKey,
  readNodeKey,
  readRingKey,
} from "../../../node-agent/host/key-file.ts"
import { readKeyRing } from "../../../worker/alerts/sealing.ts"
import { temporaryDirectory } from "./fixtures.ts"

describe("key files", () => {
  it("a node's key comes back with the public half that was printed", () => {
    const path = join(temporaryDirectory(), "node.key")
    const made = createNodeKey(path)
    expect(made).toMatchObject({ kind: "ok", value: expect.stringMatching(/^[A-Za-z0-9_-]{43}$/) })
    const read = readNodeKey(path)
    expect(read.kind === "ok" && read.value.publicKey).toBe(made.kind === "ok" && made.value)
  })

  it("a ring key comes back with its number", () => {
    const path = join(temporaryDirectory(), "ring.key")
    createRingKey(path, 200)
    const read = readRingKey(path)
    expect(read).toMatchObject({ kind: "ok", value: { id: 200 } })
    expect(read.kind === "ok" && read.value.bytes.length).toBe(32)
  })

  it("a credential is told by its digest only", () => {
    const path = join(temporaryDirectory(), "credential")
    const made = createCredential(path)
    expect(made).toEqual({ kind: "ok", value: sha256Hex(readFileSync(path, "utf8").trim()) })
  })

  it.each([
    ["node", createNodeKey],
    ["ring", (path: string) => createRingKey(path, 1)],
    ["credential", createCredential],
    ["receivers", (path: string) => createReceiverKey(path, 1)],
  ])("of kind %s are made for their owner's eyes only, and never overwritten", (_kind, create) => {
    const path = join(temporaryDirectory(), "key")
    create(path)
    const before = readFileSync(path, "utf8")
    expect(statSync(path).mode & 0o777).toBe(0o400)
    expect(create(path)).toMatchObject({ kind: "error", error: expect.stringContaining("never overwritten") })
    expect(readFileSync(path, "utf8")).toBe(before)
  })

  it.each([0o440, 0o404, 0o420, 0o401, 0o644])("with mode %o are refused, with what to do", (mode) => {
    const path = join(temporaryDirectory(), "key")
    createNodeKey(path)
    chmodSync(path, mode)
    const shown = `0${mode.toString(8)}`
    expect(readNodeKey(path)).toEqual({
      kind: "error",
      error: `${path}: group or others may access it (mode ${shown}); run \`chmod 0400 ${path}\``,
    })
    expect(readRingKey(path)).toMatchObject({ kind: "error", error: expect.stringContaining("chmod") })
  })

  it.each(["", "{", "[]", '{"kty":"OKP"}', '{"kty":"OKP","crv":"Ed25519","x":"A","d":"A"}', "1 short"])(
    "that hold something else (%s) are refused, never thrown at",
    (content) => {
      const path = join(temporaryDirectory(), "key")
      writeFileSync(path, content, { mode: 0o400 })
      expect(readNodeKey(path).kind).toBe("error")
      expect(readRingKey(path).kind).toBe("error")
    },
  )

  it("that are not there are an error with the path", () => {
    expect(readNodeKey("/nowhere/key")).toMatchObject({ error: expect.stringContaining("/nowhere/key") })
  })
})

it("receivers' keys, the newer file before the older, are a ring of which the newest seals", async () => {
  const directory = temporaryDirectory()
  const files = [2, 1].map((id) => join(directory, `receivers-${id}.key`))
  for (const [index, file] of files.entries()) expect(createReceiverKey(file, 2 - index).kind).toBe("ok")
  const secret = files.map((file) => readFileSync(file, "utf8")).join("")
  const ring = await readKeyRing(secret, undefined)
  expect(ring).toMatchObject({ kind: "ok", value: [{ id: "k2" }, { id: "k1" }] })
})
