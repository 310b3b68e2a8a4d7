/**
 * Asks the agent for the page's data once a second, one question at a time, and keeps what the parts need: the newest report, rates,
 * history, events. Slows down while nobody looks, and stops while paused. The only file that fetches.
 */
import type { EventReport } from '../agent/control/api-types.ts';
import type { PageFdbReport, PageReport } from '../agent/control/page-types.ts';
import { type History, NO_HISTORY, withSample } from './model/history.ts';
import { NO_RATES, type Rates, ratesOf } from './model/rates.ts';

const EVERY_MS = 1000;
const HIDDEN_EVERY_MS = 15_000;
const PATIENCE_MS = 8000;
/** As many as the agent keeps. */
const MAX_EVENTS = 1024;

export interface Live {
  readonly report: PageReport | null;
  readonly rates: Rates;
  readonly history: History;
  /** Newest first; bounded by MAX_EVENTS. */
  readonly events: readonly EventReport[];
  /** Why there is nothing new; null when there is. */
  readonly trouble: string | null;
}

export const NOTHING: Live = {
  report: null,
  rates: NO_RATES,
  history: NO_HISTORY,
  events: [],
  trouble: null,
};

/** The live data with one more report. */
function withReport(live: Live, report: PageReport): Live {
  const rates = ratesOf(live.report, report);
  const anew = live.report !== null && live.report.events.startedAt !== report.events.startedAt;
  return {
    report,
    rates,
    history: rates.all === null ? live.history : withSample(live.history, report.at, rates.all),
    events: anew ? [] : [...report.events.events.toReversed(), ...live.events].slice(0, MAX_EVENTS),
    trouble: null,
  };
}

/** Calls `show` with what is new until the returned function is called. */
export function poll(show: (live: Live) => void): () => void {
  let live = NOTHING;
  let ended = false;
  let timer = 0;
  const turn = async (): Promise<void> => {
    try {
      const after = live.report?.events.last ?? 0;
      const report = await ask<PageReport>(`data?after=${after}`);
      // A new agent numbers its events anew: ask again for all of them.
      const anew = live.report !== null && live.report.events.startedAt !== report.events.startedAt;
      live = withReport(live, report);
      if (anew) live = withReport({ ...NOTHING }, await ask<PageReport>('data?after=0'));
    } catch (error) {
      live = { ...live, trouble: error instanceof Error ? error.message : 'no answer' };
    }
    if (ended) return;
    show(live);
    timer = window.setTimeout(turn, document.hidden ? HIDDEN_EVERY_MS : EVERY_MS);
  };
  const wake = (): void => {
    if (document.hidden || ended) return;
    window.clearTimeout(timer);
    timer = window.setTimeout(turn, 0);
  };
  document.addEventListener('visibilitychange', wake);
  void turn();
  return () => {
    ended = true;
    window.clearTimeout(timer);
    document.removeEventListener('visibilitychange', wake);
  };
}

export function askFdb(find: string): Promise<PageFdbReport> {
  return ask(`fdb?find=${encodeURIComponent(find)}`);
}

async function ask<T>(path: string): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS) });
  } catch {
    throw new Error('nobody answers: the agent, or weft ui, has ended');
  }
  if (response.ok) return (await response.json()) as T;
  throw new Error(
    response.status === 503 ? 'no agent answers' : `the agent answers with status ${response.status}`,
  );
}
