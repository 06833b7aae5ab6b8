/** What the bench reads in Corosync's log. */
import { expect, test } from "vitest"
import { viewsIn } from "../../bench/ring/corosync.ts"

const line = (time: string, text: string) => `Nov 21 ${time} [4711] a1 corosync notice  [QUORUM] ${text}\n`

test("a view a line, the members of a large one over several", () => {
  const log =
    line("23:11:21.100", "Members[3]: 1 2 3") +
    line("23:11:22.200", "This node is within the primary component and will provide service.") +
    line("23:11:30.300", "Members[5]: 1 2\\") +
    line("23:11:30.300", "Members[5]: 3 4\\") +
    line("23:11:30.304", "Members[5]: 5") +
    line("23:11:31.400", "Members[4]: 1 2 3 4") +
    line("23:11:32.500", "Members[4]: 9 10 11 1\\") +
    line("23:11:32.500", "Members[4]: 12")
  const views = viewsIn(log)
  expect(views.map(({ members }) => members)).toEqual([
    [1, 2, 3],
    [1, 2, 3, 4, 5],
    [1, 2, 3, 4],
    [9, 10, 11, 12],
  ])
  expect(views.map(({ at }) => new Date(at).toISOString().slice(11))).toEqual([
    "23:11:21.100Z",
    "23:11:30.304Z",
    "23:11:31.400Z",
    "23:11:32.500Z",
  ])
})
