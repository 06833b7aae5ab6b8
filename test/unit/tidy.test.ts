// Holds what neither the compiler nor the linter does: who may import whom, calls that have a replacement,
// files nothing uses, files nothing runs, marks left behind, length, and what must not be published.
//
// Each table below is the rule; to change a rule, change its table.

import { readdirSync, readFileSync } from "node:fs"
import { builtinModules } from "node:module"
import { dirname, extname, join, posix, resolve } from "node:path"
import { describe, expect, it } from "vitest"

const root = resolve(import.meta.dirname, "../..")

/** A part of the program, and the parts it may import besides itself. The first prefix that fits names a file's part. */
interface Part {
  readonly name: string
  readonly prefixes: readonly string[]
  readonly mayImport: readonly string[]
  /** "sealed": also no packages. "portable": no modules of one runtime. "open": any package. */
  readonly packages: "sealed" | "portable" | "open"
}

const parts: readonly Part[] = [
  { name: "protocol", prefixes: ["protocol/"], mayImport: [], packages: "portable" },
  { name: "core", prefixes: ["node-agent/core/"], mayImport: ["protocol"], packages: "sealed" },
  {
    name: "simulation",
    prefixes: ["node-agent/simulation/"],
    mayImport: ["protocol", "core", "policy"],
    packages: "open",
  },
  {
    name: "paging",
    prefixes: ["node-agent/paging/"],
    mayImport: ["protocol", "core", "policy"],
    packages: "open",
  },
  {
    name: "host",
    prefixes: ["node-agent/host/"],
    mayImport: ["protocol", "core", "paging"],
    packages: "open",
  },
  {
    name: "agent",
    prefixes: ["node-agent/"],
    mayImport: ["protocol", "core", "host", "simulation", "paging"],
    packages: "open",
  },
  {
    name: "policy",
    prefixes: [
      ...["worker/arbiter.ts", "worker/lease-rules.ts", "worker/alerts/"],
      ...["worker/configuration.ts", "worker/registration.ts", "worker/public-key.ts"],
    ],
    mayImport: ["protocol"],
    packages: "portable",
  },
  {
    name: "worker entry",
    prefixes: ["worker/index.ts"],
    mayImport: ["protocol", "policy", "worker"],
    packages: "open",
  },
  { name: "worker", prefixes: ["worker/"], mayImport: ["protocol", "policy"], packages: "open" },
]

/** Calls with a replacement, looked for in code, not in comments. */
const bannedCalls: readonly {
  readonly pattern: RegExp
  readonly within: RegExp
  readonly except?: RegExp
  readonly instead: string
}[] = [
  {
    pattern: /\bMath\.random\b/,
    within: /^(protocol|node-agent|worker|test)\//,
    instead: "a seeded generator",
  },
  {
    pattern: /\bDate\.now\b|\bnew Date\(\s*\)/,
    within: /^(protocol|node-agent|worker)\//,
    except: /^(worker\/clock|node-agent\/host\/clock)\.ts$/,
    instead: "worker/clock.ts or node-agent/host/clock.ts",
  },
  {
    pattern: /\bconsole\.|\bset(Timeout|Interval|Immediate)\b|\bqueueMicrotask\b/,
    within: /^(protocol|node-agent\/core)\/|^worker\/(arbiter|alerts\/route)\.ts$/,
    instead: "an effect, which the host carries out",
  },
  {
    pattern: /\b(describe|it|test)\.([a-z]+\.)*(skip|skipIf|runIf|todo|only|fails)\b/,
    within: /^test\//,
    except: /^test\/support\/needs\.ts$/,
    instead: "describeNeeding of test/support/needs.ts",
  },
]

/** Programs of their own, which nothing imports, and the simulator, which the suites run. */
const entryPoints = [
  "node-agent/main.ts",
  "node-agent/build.ts",
  "node-agent/simulation/quiet.ts",
  "node-agent/simulation/run.ts",
  "worker/index.ts",
  "worker/openapi.ts",
]

/** Projects of vitest.config.ts run the tests below these folders, and no others. */
const testFolders = ["unit", "scenarios", "simulation", "worker", "e2e"]

const topLevel = [
  ...["worker", "node-agent", "protocol", "test"],
  ...["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "LICENSE"],
  ...[
    "package.json",
    "package-lock.json",
    "tsconfig.json",
    "wrangler.toml",
    "biome.json",
    "vitest.config.ts",
  ],
]

const sourceLinesMax = 500

const unpublishable: readonly { readonly what: string; readonly pattern: RegExp }[] = [
  {
    what: "a package registry",
    pattern:
      /\bregistry\.(npmjs|npmmirror|yarnpkg)\b|"resolved": *"https?:|\b(artifactory|verdaccio|jfrog)\b/i,
  },
  {
    what: "a path of one workplace",
    pattern: /(^|[\s"'`(=:,])\/(work|root|(home|Users)\/\w+)\/|(^|[\s"'`(/])\.\.\/shared\/(\w|-)+\.md/m,
  },
]

interface Lockfile {
  readonly packages: Readonly<
    Record<string, { readonly optionalDependencies?: Readonly<Record<string, string>> }>
  >
}

const leftOver = /\b(TODO|FIXME|XXX)\b/

describe("tidy", () => {
  it("each part imports only the parts below it", () => {
    const wrong = sources().flatMap((file) => {
      const part = partOf(file)
      return importsOf(file).flatMap((specifier) => {
        const reason = part && refusal(part, file, specifier)
        return reason === undefined ? [] : [`${file} imports ${specifier}: ${reason}`]
      })
    })
    expect(wrong).toEqual([])
  })

  it("no code calls what has a replacement", () => {
    const wrong = bannedCalls.flatMap(({ pattern, within, except, instead }) =>
      files()
        .filter((file) => isCode(file) && within.test(file) && !except?.test(file))
        .flatMap((file) =>
          linesMatching(withoutComments(read(file)), pattern).map((line) => `${file}:${line}`),
        )
        .map((place) => `${place} uses ${pattern.source}; use ${instead}`),
    )
    expect(wrong).toEqual([])
  })

  it("every source file is used", () => {
    const reached = new Set<string>()
    const open = [...entryPoints]
    for (let file = open.pop(); file !== undefined; file = open.pop()) {
      if (reached.has(file)) continue
      reached.add(file)
      const from = file
      open.push(...importsOf(file).flatMap((specifier) => targetOf(from, specifier) ?? []))
    }
    expect(sources().filter((file) => !reached.has(file))).toEqual([])
  })

  it("every value that is exported is used by another file", () => {
    const code = files().filter(isCode)
    const filesByWord = new Map<string, number>()
    for (const file of code) {
      for (const word of new Set(read(file).match(/\w+/g)))
        filesByWord.set(word, (filesByWord.get(word) ?? 0) + 1)
    }
    const wrong = code.flatMap((file) =>
      [...read(file).matchAll(/^export (?:async )?(?:const|function|class) (\w+)/gm)]
        .filter(([, name = ""]) => filesByWord.get(name) === 1)
        .map(([, name]) => `${file} exports ${name}`),
    )
    expect(wrong).toEqual([])
  })

  it("every rule of SPEC.md is quoted by the name of a test, and no name quotes another", () => {
    const rules = [...read("protocol/SPEC.md").matchAll(/^- \*\*([A-Z]+\d+)\*\*/gm)].map(([, rule]) => rule)
    expect(rules.filter((rule, index) => rules.indexOf(rule) !== index)).toEqual([])
    // Names of tests; tables of cases with a field `rule`; the first line of a scenario.
    const quotes = files()
      .filter((file) => /^test\/.*(\.test\.ts|mutations\.ts|\.txt)$/.test(file) && file !== thisFile)
      .flatMap((file) => [
        ...withoutComments(read(file)).matchAll(/\[([A-Z]{1,2}\d+)\]|\brule: "\[?([A-Z]{1,2}\d+)\b/g),
      ])
      .map(([, inName, inTable]) => inName ?? inTable)
    expect(rules.filter((rule) => !quotes.includes(rule))).toEqual([])
    expect([...new Set(quotes)].filter((quote) => !rules.includes(quote))).toEqual([])
  })

  it("every file that ARCHITECTURE.md names is there", () => {
    const named = [...read("ARCHITECTURE.md").matchAll(/`([a-z/-]+\.[jt]s)`/g)].map(([, name = ""]) => name)
    const all = files()
    const there = (name: string): boolean => all.some((file) => file === name || file.endsWith(`/${name}`))
    expect(named.filter((name) => !name.startsWith("dist/") && !there(name))).toEqual([])
  })

  it("a folder that ARCHITECTURE.md has a table of has all its files there", () => {
    const rows = read("ARCHITECTURE.md").matchAll(/^\| (.*`) \| owns \|\n((?:\|.*\n)*)/gm)
    const tables = [...rows].map(([, head = "", body = ""]) => ({ head, body }))
    const folders = new Set(tables.flatMap(({ head }) => head.match(/[a-z/-]+(?=\/`)/g) ?? []))
    expect(folders.size).toBeGreaterThan(5)
    const isIn = (folder: string, file: string): boolean =>
      tables.some(
        ({ head, body }) =>
          head.includes(`\`${folder}/\``) && body.match(/[a-z-]+\.ts(?=`)/g)?.includes(file),
      )
    const sources = files().filter((file) => file.endsWith(".ts") && folders.has(dirname(file)))
    expect(sources.filter((file) => !isIn(dirname(file), posix.basename(file)))).toEqual([])
  })

  it("every test file is run by a project", () => {
    const tests = files().filter((file) => /\.(test|spec)\.[cm]?[jt]sx?$/.test(file))
    const isRun = (file: string): boolean =>
      file.endsWith(".test.ts") && testFolders.some((folder) => file.startsWith(`test/${folder}/`))
    expect(tests.filter((file) => !isRun(file))).toEqual([])
  })

  it("no mark of unfinished work is left behind", () => {
    const texts = files().filter((file) => isText(file) && file !== thisFile)
    expect(
      texts.flatMap((file) => linesMatching(read(file), leftOver).map((line) => `${file}:${line}`)),
    ).toEqual([])
  })

  it(`no source file is longer than ${sourceLinesMax} lines`, () => {
    const lengthOf = (file: string): number => read(file).trimEnd().split("\n").length
    expect(sources().filter((file) => lengthOf(file) > sourceLinesMax)).toEqual([])
  })

  it("no file names a package registry or a path of one workplace", () => {
    const wrong = unpublishable.flatMap(({ what, pattern }) =>
      files()
        .filter((file) => isText(file) && file !== thisFile)
        .flatMap((file) => linesMatching(read(file), pattern).map((line) => `${file}:${line} names ${what}`)),
    )
    expect(wrong).toEqual([])
  })

  it("the lockfile has an entry for every platform's packages, without which `npm ci` refuses it", () => {
    // A registry that lacks some platform's package makes `npm install` leave its entry out. Put it back by hand.
    const lockfile = JSON.parse(read("package-lock.json")) as Lockfile
    const missing = Object.entries(lockfile.packages).flatMap(([path, { optionalDependencies }]) =>
      Object.keys(optionalDependencies ?? {}).filter(
        (name) =>
          !(
            `node_modules/${name}` in lockfile.packages || `${path}/node_modules/${name}` in lockfile.packages
          ),
      ),
    )
    expect(missing).toEqual([])
  })

  it("the top level holds only what belongs there", () => {
    const names = readdirSync(root).filter((name) => !name.startsWith(".") && !ignored.has(name))
    expect(names.filter((name) => !topLevel.includes(name))).toEqual([])
  })
})

const thisFile = "test/unit/tidy.test.ts"
const ignored = new Set(["node_modules", "dist", ".git", ".wrangler"])
const runtimeModules = new Set(builtinModules)

function partOf(file: string): Part | undefined {
  // The most specific prefix wins, so that the order of the table is free.
  const fitting = parts.flatMap((part) => part.prefixes.map((prefix) => ({ part, prefix })))
  return fitting
    .filter(({ prefix }) => file.startsWith(prefix))
    .sort((a, b) => b.prefix.length - a.prefix.length)[0]?.part
}

function refusal(part: Part, file: string, specifier: string): string | undefined {
  const target = targetOf(file, specifier)
  if (target !== undefined) {
    const targetPart = partOf(target)
    if (targetPart === undefined) return target === "package.json" ? undefined : "it belongs to no part"
    const isAllowed = targetPart === part || part.mayImport.includes(targetPart.name)
    return isAllowed ? undefined : `${part.name} may not import ${targetPart.name}`
  }
  if (part.packages === "sealed") return `${part.name} imports no packages`
  const isOfOneRuntime = /^(node|cloudflare):/.test(specifier) || runtimeModules.has(specifier)
  if (part.packages === "portable" && isOfOneRuntime) return `${part.name} runs on every runtime`
  return undefined
}

/** The imported file, as a path from the root; nothing for a package. */
function targetOf(file: string, specifier: string): string | undefined {
  return specifier.startsWith(".") ? posix.join(dirname(file), specifier) : undefined
}

/** Specifiers of all imports. The formatter puts static imports at the start of a line, so comments do not match. */
function importsOf(file: string): readonly string[] {
  const code = read(file)
  const staticImports = code.matchAll(/^(?:import|export)\b(?:[^"'`;]*?\bfrom)?\s*"([^"]+)"/gm)
  const dynamicImports = withoutComments(code).matchAll(/\bimport\(\s*"([^"]+)"/g)
  const urls = withoutComments(code).matchAll(/\bnew URL\(\s*"(\.[^"]+\.[jt]s)",\s*import\.meta\.url/g)
  return [...staticImports, ...dynamicImports, ...urls].flatMap((match) => match[1] ?? [])
}

function withoutComments(code: string): string {
  const lines = code.split("\n")
  return lines.map((line) => line.replace(/^\s*(\/\/|\/\*|\*).*$|\s\/\/ .*$/, "")).join("\n")
}

function linesMatching(text: string, pattern: RegExp): readonly number[] {
  return text.split("\n").flatMap((line, index) => (pattern.test(line) ? [index + 1] : []))
}

function sources(): readonly string[] {
  return files().filter((file) => /^(protocol|node-agent|worker)\/.*(?<!\.d)\.ts$/.test(file))
}

function isCode(file: string): boolean {
  return /\.[cm]?[jt]sx?$/.test(file)
}

function isText(file: string): boolean {
  const texts = [
    "",
    ".ts",
    ".js",
    ".json",
    ".toml",
    ".md",
    ".txt",
    ".html",
    ".css",
    ".svg",
    ".sh",
    ".service",
    ".yml",
  ]
  return texts.includes(extname(file))
}

function read(file: string): string {
  return readFileSync(join(root, file), "utf8")
}

/** Every file that is or may become tracked, as a path from the root. */
function files(folder = ""): readonly string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = posix.join(folder, entry.name)
    if (ignored.has(entry.name)) return []
    if (entry.isDirectory()) return files(path)
    return entry.isFile() ? [path] : []
  })
}
