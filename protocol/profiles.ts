/**
 * Every default of the configuration, with its reason: the timings of the three profiles, the ports, and what is
 * assumed about a service that does not say. Nothing has a default anywhere else. The inequalities that the timings
 * satisfy are in `timings.ts` (SPEC T); figures on lateness were measured on a loaded two-processor guest.
 */
import type { LinkThresholds, ProfileName, Timings } from "./cluster.ts"
import { millis } from "./units.ts"

/** Leases between sites and at the witness run at Internet speed, whatever the ring does. */
const betweenSites = {
  /**
   * 1000 ppm: a crystal is within 100 ppm and the kernel's own discipline slews CLOCK_MONOTONIC by at most 500. It does
   * NOT cover chrony's default `maxslewrate` (83,333 ppm, used after a large offset): set that to 500 or raise `rho_ppm`.
   */
  rho: 0.001,
  /**
   * 10 s. The voice lease matters while half a site lives on the witness's vote, often for hours until a node is
   * repaired: it should outlive the seconds that the witness takes to move or be deployed (a renewal every 2 s leaves it 8). The price
   * is paid only if the speaking half then dies too and the other half, never in a view with it, has to wait for TTL'.
   * It also leaves `summaryInterval` room to be stretched to TTL / 3 near the quota of the free plan.
   */
  voiceTtl: millis(10_000),
  /** 10 s: five renewals, and twice the time after which the other site is shown as silent. */
  mandateTtl: millis(10_000),
  /** 2 s: a lost renewal leaves time for four more. Renewals ride on the summaries, so one is not due oftener. */
  renewal: millis(2_000),
  /** 1 s: a heartbeat of a hundred bytes costs a metered WAN 9 MB a day. */
  wanHeartbeat: millis(1_000),
  /** 5 s: four heartbeats may be lost before people are told. */
  wanSilent: millis(5_000),
  /** 2 s a rank: one summary interval, in which the better choice has learnt of the vacancy and claimed. */
  claimStagger: millis(2_000),
  /** 2 s: 86,400 posts a day from two sites, within the 100,000 of the free plan. */
  summaryInterval: millis(2_000),
}

/** The timings of each profile. Each uses up T1 exactly: no slack is left that another figure could have had. */
export const profiles: Readonly<Record<ProfileName, Timings>> = {
  /** A gated service is elsewhere in under 500 ms, on an ordinary kernel. 200 + 2 * 10 + 3 * 50 + 30 = 400. */
  industrial: {
    heartbeat: millis(200),
    /**
     * Three sendings 50 ms apart leave a late loop 100 ms to acknowledge in. Without SCHED_FIFO one in a thousand was
     * 50 ms late under full load, the worst 116 ms: that one would be accused.
     */
    retransmit: millis(50),
    misses: 3,
    lease: millis(400),
    /** Thirty nodes at a third of a millisecond a hop. */
    pass: millis(10),
    /** The worst lateness measured with SCHED_FIFO under full load was 29 ms; without it the unused `misses` pay. */
    lateness: millis(30),
    /** A join, its repetition, and 50 ms; the bound on failover leaves no more: 200 + 150 + 100 = 450 ms. */
    gatherWait: millis(100),
    ...betweenSites,
  },
  /** Under 250 ms; needs SCHED_FIFO. 50 + 2 * 5 + 3 * 30 + 30 = 180. */
  energy: {
    heartbeat: millis(50),
    retransmit: millis(30),
    misses: 3,
    lease: millis(180),
    /** Fifteen nodes at a third of a millisecond a hop (SPEC T17). */
    pass: millis(5),
    /** As measured with SCHED_FIFO; without it one in a thousand took 50 ms: the agent does not start (SPEC H10). */
    lateness: millis(30),
    /** One join lost and its sender late, no more (T4): 50 + 90 + 60 = 200 ms to the new view. */
    gatherWait: millis(60),
    ...betweenSites,
  },
  /** Under 2.5 s: for shared, oversubscribed or wireless machines. 1000 + 2 * 50 + 3 * 250 + 150 = 2000. */
  relaxed: {
    heartbeat: millis(1_000),
    retransmit: millis(250),
    misses: 3,
    lease: millis(2_000),
    pass: millis(50),
    /** More than the 116 ms seen without SCHED_FIFO under full load. */
    lateness: millis(150),
    /** 1000 + 750 + 500 = 2250 ms to the new view. */
    gatherWait: millis(500),
    ...betweenSites,
  },
}

/** What people are told of; no timing follows from it. */
export const linkThresholds: LinkThresholds = {
  /** 5 ms: a switched network has tenths; beyond it something queues. */
  jitter: millis(5),
  /** 10 ms: the `pass_ms` of the default profile for a whole round. */
  jitterCritical: millis(10),
  /** 0.1 %: a sound cable loses nothing. */
  lossPpm: 1_000,
  /** 50 ms: the default `retransmit_ms`; a slower link answers when it has been asked again already. */
  rtt: millis(50),
}

/** 50 ms: where Ceph and the alerts of Prometheus' node exporter draw the line. No right rests on a wall clock; logs and alerts do. */
export const clockLimit = millis(50)

export const defaults = {
  profile: "industrial",
  /** Half a site without the witness's vote does nothing: the only choice that surprises nobody. */
  policy: "split",
  votes: 1,
  /** The first ring link; the second has the next, and so on: links that share a network by mistake still differ. */
  firstLinkPort: 5405,
  wanPort: 5407,
  ticket: "main",
  mode: "automatic",
  /** Nothing is assumed to prove that an absent owner has stopped: a person says so. */
  proof: "operator",
  /** The first one; the kernel's own name for it. */
  watchdogDevice: "/dev/watchdog",
  /** 20 s, as the resource agents of other cluster managers assume for start and stop. */
  startTimeout: millis(20_000),
  stopTimeout: millis(20_000),
  /** 5 s: a monitor answers from what is at hand. */
  monitorTimeout: millis(5_000),
  monitorInterval: millis(10_000),
  /** 1 s: a look at an address starts no program, and a lost carrier is worth knowing. */
  monitorIntervalIp: millis(1_000),
  /** One failure may be chance, a third on the same node hardly is. */
  migrationThreshold: 3,
  /** Power switches take seconds; fence-agents wait for the power to be off within 20 s. */
  fenceTimeout: millis(60_000),
  /** An agent is a Python program of some 100 ms of processor time: 0.03 % of a core. */
  fenceMonitorInterval: millis(300_000),
} as const
