/** The page: head, five tabs, keys. State that lasts is here; the parts only show. Read-only: nothing here asks the agent to change. */
import { render } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Chart } from './chart.tsx';
import { Help } from './help.tsx';
import { MeshPicture } from './mesh-picture.tsx';
import { commandOf, VIEWS, type View } from './model/keys.ts';
import { pictureOf } from './model/picture.ts';
import { type Live, NOTHING, poll } from './poll.ts';
import { HostFacts, Summary } from './summary.tsx';
import { DropsTable, EventsTable, FdbTable, PeersTable } from './tables.tsx';
import { applyTheme, isDark, nextTheme, storedTheme, type Theme } from './theme.ts';
import './style.css';

const TITLE: Readonly<Record<View, string>> = {
  mesh: 'Mesh',
  peers: 'Peers',
  fdb: 'FDB',
  drops: 'Drops',
  events: 'Events',
};

function App() {
  const [live, setLive] = useState<Live>(NOTHING);
  const [view, setView] = useState<View>('mesh');
  const [theme, setTheme] = useState<Theme>(storedTheme);
  const [dark, setDark] = useState(false);
  const [paused, setPaused] = useState(false);
  const [help, setHelp] = useState(false);
  const [chosen, setChosen] = useState<string | null>(null);
  const held = useRef(false);
  held.current = paused;

  useEffect(() => poll((next) => held.current || setLive(next)), []);

  useEffect(() => {
    applyTheme(theme);
    const system = matchMedia('(prefers-color-scheme: dark)');
    const changed = (): void => setDark(isDark(theme));
    changed();
    system.addEventListener('change', changed);
    return () => system.removeEventListener('change', changed);
  }, [theme]);

  useEffect(() => {
    const pressed = (event: KeyboardEvent): void => {
      const target = event.target instanceof HTMLElement ? event.target : null;
      const typing = target?.matches('input, textarea, select') ?? false;
      const command = commandOf({
        key: event.key,
        modified: event.ctrlKey || event.altKey || event.metaKey,
        typing,
      });
      if (command === null) return;
      if (command.kind !== 'close') event.preventDefault();
      if (command.kind === 'view') setView(command.view);
      else if (command.kind === 'find') document.querySelector<HTMLInputElement>('.find')?.focus();
      else if (command.kind === 'theme') setTheme(nextTheme);
      else if (command.kind === 'pause') setPaused((was) => !was);
      else if (command.kind === 'help') setHelp(true);
      else if (typing) target?.blur();
    };
    document.addEventListener('keydown', pressed);
    return () => document.removeEventListener('keydown', pressed);
  }, []);

  const { report, rates } = live;
  useEffect(() => {
    if (report !== null) document.title = `${report.status.name} · weft`;
  }, [report?.status.name]);

  return (
    <>
      <header>
        <h1>
          weft{' '}
          <span class="name">{report === null ? '' : `${report.status.name} in ${report.status.mesh}`}</span>
        </h1>
        <Standing live={live} paused={paused} />
        <div class="buttons">
          <button type="button" aria-pressed={paused} onClick={() => setPaused(!paused)}>
            {paused ? 'Go on' : 'Pause'}
          </button>
          <button type="button" class="theme" onClick={() => setTheme(nextTheme(theme))}>
            Theme: {theme}
          </button>
          <button type="button" onClick={() => setHelp(true)} aria-haspopup="dialog">
            Keys
          </button>
        </div>
      </header>
      <Tabs view={view} onView={setView} />
      <main>
        <div id="panel" role="tabpanel" aria-labelledby={`tab-${view}`}>
          {report === null ? (
            <p class="empty">Asking the agent.</p>
          ) : view === 'mesh' ? (
            <>
              <Summary report={report} rates={rates} />
              <div class="mesh">
                <MeshPicture
                  picture={pictureOf(report, rates)}
                  chosen={chosen}
                  dark={dark}
                  onChoose={setChosen}
                />
                {chosen !== null && <HostFacts name={chosen} report={report} rates={rates} />}
              </div>
              <Chart history={live.history} dark={dark} />
            </>
          ) : view === 'peers' ? (
            <PeersTable key="peers" report={report} rates={rates} />
          ) : view === 'fdb' ? (
            <FdbTable key="fdb" paused={paused} />
          ) : view === 'drops' ? (
            <DropsTable key="drops" report={report} rates={rates} />
          ) : (
            <EventsTable key="events" events={live.events} />
          )}
        </div>
      </main>
      <Help open={help} onClose={() => setHelp(false)} />
    </>
  );
}

/** Whether what is shown is true now. */
function Standing({ live, paused }: { readonly live: Live; readonly paused: boolean }) {
  const { report, trouble } = live;
  const [kind, text] =
    trouble !== null
      ? ['down', `Not live: ${trouble}`]
      : report === null
        ? ['busy', 'Asking']
        : paused
          ? ['busy', 'Paused']
          : ['up', report.status.state === 'up' ? 'Live' : `Live, the agent is ${report.status.state}`];
  return (
    <p class={`standing ${kind}`} role="status">
      {text}
    </p>
  );
}

function Tabs({ view, onView }: { readonly view: View; readonly onView: (view: View) => void }) {
  const walk = (event: KeyboardEvent): void => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    const next = VIEWS[(VIEWS.indexOf(view) + step + VIEWS.length) % VIEWS.length];
    if (step === 0 || next === undefined) return;
    event.preventDefault();
    onView(next);
    document.getElementById(`tab-${next}`)?.focus();
  };
  return (
    <div class="tabs" role="tablist" aria-label="Views" onKeyDown={walk}>
      {VIEWS.map((each, i) => (
        <button
          key={each}
          type="button"
          role="tab"
          id={`tab-${each}`}
          aria-selected={each === view}
          aria-controls="panel"
          aria-keyshortcuts={String(i + 1)}
          tabIndex={each === view ? 0 : -1}
          onClick={() => onView(each)}
        >
          {TITLE[each]}
        </button>
      ))}
    </div>
  );
}

const root = document.getElementById('app');
if (root !== null) {
  root.textContent = '';
  render(<App />, root);
}
