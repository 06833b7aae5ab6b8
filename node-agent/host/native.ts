/**
 * Functions of the C library, for what Node has no way to ask (scheduling, options of sockets, ioctl) or does at a price
 * (sending a datagram). The one place that knows by which library they are called (koffi), so that it can be replaced. A
 * caller declares the function it needs once and calls it with numbers and bytes; a call that fails throws as those of
 * `node:fs` do, with the name of the error in `code`.
 *
 * Variadic functions (ioctl) are declared with the parameters they are called with: on Linux x64 and arm64, the two
 * platforms of the agent, integers and pointers are passed the same way.
 */
import { getSystemErrorMessage, getSystemErrorName } from "node:util"
import { err, ok, type Result } from "../../protocol/result.ts"

/** `long` is a machine word, signed; `size` one unsigned, for lengths and addresses; `bytes` a pointer to them. */
export type NativeType = "int" | "unsigned" | "long" | "size" | "bytes"

/** A `Uint8Array` is lent for the call: the function may write into it. `null` is the null pointer. */
export type NativeValue = number | Uint8Array | null

export type NativeFunction = (...values: readonly NativeValue[]) => number

export interface Native {
  /** `result` -1 means failure, told by errno: all functions of the C library used here hold to that. */
  declare(name: string, result: "int" | "long", parameters: readonly NativeType[]): NativeFunction
  /** Where the bytes are, for structures that point to others; good for as long as somebody holds them. */
  addressOf(bytes: Uint8Array): bigint
}

/** The kernel said no. Nothing was changed. */
export class NativeFailure extends Error {
  override readonly name = "NativeFailure"
  /** `EPERM` and the like. */
  readonly code: string

  constructor(call: string, errno: number) {
    const code = getSystemErrorName(-errno)
    super(`${call}: ${code}: ${getSystemErrorMessage(-errno)}`)
    this.code = code
  }
}

/**
 * Loaded when first asked for, and only by who asks: it is an optional part of the installation. An error says why it
 * cannot be had; the agent then does without.
 */
export function loadNative(): Promise<Result<Native, string>> {
  loaded ??= load()
  return loaded
}

let loaded: Promise<Result<Native, string>> | undefined

async function load(): Promise<Result<Native, string>> {
  try {
    const { default: koffi } = await import("koffi")
    const library = koffi.load("libc.so.6")
    const declared = new Map<string, NativeFunction>()
    return ok({
      declare(name, result, parameters) {
        // Declared once for good: a declaration is never given back.
        const key = `${result} ${name} ${parameters.join(" ")}`
        const known = declared.get(key)
        if (known !== undefined) return known
        const call = library.func(
          name,
          typeNames[result],
          parameters.map((type) => typeNames[type]),
        )
        const declaration: NativeFunction = (...values) => {
          const answer: unknown = call(...values)
          if (typeof answer !== "number")
            throw new TypeError(`${name}: answered ${String(answer)}, not a number`)
          if (answer === -1) throw new NativeFailure(name, koffi.errno())
          return answer
        }
        declared.set(key, declaration)
        return declaration
      },
      addressOf: (bytes) => koffi.address(bytes),
    })
  } catch (cause) {
    return err(cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause))
  }
}

const typeNames: Readonly<Record<NativeType, string>> = {
  int: "int",
  unsigned: "unsigned int",
  long: "long",
  size: "size_t",
  bytes: "void *",
}
