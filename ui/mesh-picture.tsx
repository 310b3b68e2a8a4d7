/**
 * The picture on a canvas by cytoscape, kept in step with a Picture: what has not changed is not touched. Arrow keys walk through the
 * hosts. What it shows is there as text too, for readers that see no canvas.
 */
import cytoscape, { type Core, type StylesheetJson } from 'cytoscape';
import { useEffect, useRef } from 'preact/hooks';
import type { Picture } from './model/picture.ts';
import { colour } from './theme.ts';

/** Above so many hosts a line has its values only when it is chosen. */
const MAX_LABELLED = 24;
/** Above so many, names are larger than their hosts, to be read from afar. */
const MANY = 60;

const MARGIN_PX = 25;
/** A mesh of few hosts is not blown up. */
const MAX_FIT_ZOOM = 1.4;

interface Props {
  readonly picture: Picture;
  readonly chosen: string | null;
  readonly dark: boolean;
  readonly onChoose: (name: string | null) => void;
}

export function MeshPicture({ picture, chosen, dark, onChoose }: Props) {
  const box = useRef<HTMLDivElement>(null);
  const core = useRef<Core | null>(null);
  const drawn = useRef('');
  const choose = useRef(onChoose);
  choose.current = onChoose;

  useEffect(() => {
    if (box.current === null) return;
    const cy = cytoscape({
      container: box.current,
      style: [],
      layout: { name: 'preset' },
      minZoom: 0.1,
      maxZoom: 3,
      boxSelectionEnabled: false,
      autoungrabify: true,
      selectionType: 'single',
    });
    cy.on('tap', (event) => {
      const target = event.target === cy ? null : event.target;
      const name: unknown = target?.isNode?.() ? target.data('name') : target?.target?.().data('name');
      choose.current(typeof name === 'string' ? name : null);
    });
    core.current = cy;
    const resized = new ResizeObserver(() => {
      cy.resize();
      fit(cy);
    });
    resized.observe(box.current);
    return () => {
      resized.disconnect();
      cy.destroy();
    };
  }, []);

  const labelled = picture.hosts.length <= MAX_LABELLED;
  const many = picture.hosts.length > MANY;
  useEffect(() => {
    core.current?.style(sheetOf(labelled, many));
  }, [dark, labelled, many]);

  useEffect(() => {
    const cy = core.current;
    if (cy === null) return;
    draw(cy, picture);
    const places = picture.hosts.map(({ id, x, y }) => `${id} ${x} ${y}`).join();
    if (places !== drawn.current) fit(cy);
    drawn.current = places;
    if (box.current !== null) {
      box.current.dataset.hosts = String(cy.nodes().length);
      box.current.dataset.paths = String(cy.edges().length);
    }
  }, [picture]);

  useEffect(() => {
    const cy = core.current;
    cy?.elements().removeClass('chosen');
    if (chosen !== null)
      cy?.getElementById(`h:${chosen}`).addClass('chosen').connectedEdges().addClass('chosen');
  }, [chosen, picture]);

  const walk = (event: KeyboardEvent): void => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0;
    if (step === 0) return;
    event.preventDefault();
    const names = picture.hosts.map(({ name }) => name);
    const at = chosen === null ? (step > 0 ? -1 : 0) : names.indexOf(chosen);
    onChoose(names[(at + step + names.length) % names.length] ?? null);
  };

  const up = picture.paths.filter(({ state }) => state === 'up').length;
  return (
    <section class="picture" aria-label="The mesh as a picture">
      <div
        class="canvas __________cytoscape_container"
        ref={box}
        role="listbox"
        aria-owns="hosts-as-text"
        aria-activedescendant={chosen === null ? undefined : `host-${chosen}`}
        tabIndex={0}
        aria-label={`${picture.hosts.length} hosts, ${up} of ${picture.paths.length} paths up. Arrow keys choose a host.`}
        onKeyDown={walk}
      />
      <ul class="legend" aria-label="Legend">
        <li class="up">up</li>
        <li class="busy">connecting</li>
        <li class="down">down</li>
        <li class="sealed">sealed</li>
        <li class="plain">plain</li>
      </ul>
      <div class="unseen" id="hosts-as-text">
        {picture.hosts.map((host) => (
          <div
            key={host.id}
            id={`host-${host.name}`}
            role="option"
            tabIndex={-1}
            aria-selected={host.name === chosen}
            data-host={host.name}
            data-state={host.state}
          >
            {host.name}: {host.says}
          </div>
        ))}
      </div>
    </section>
  );
}

function fit(cy: Core): void {
  cy.fit(undefined, MARGIN_PX);
  if (cy.zoom() <= MAX_FIT_ZOOM) return;
  cy.zoom(MAX_FIT_ZOOM);
  cy.center();
}

/** Adds what is new, removes what is gone, changes what differs. */
function draw(cy: Core, { hosts, paths }: Picture): void {
  const wanted = [
    ...hosts.map(({ id, name, kind, state, x, y }) => ({
      group: 'nodes' as const,
      data: { id, name, kind, state, label: state === 'down' ? `✕ ${name}` : name },
      position: { x, y },
    })),
    ...paths.map(({ id, from, to, state, sealed, label, width }) => ({
      group: 'edges' as const,
      data: { id, source: from, target: to, state, sealed: sealed ? 'yes' : 'no', label, width },
    })),
  ];
  const ids = new Set(wanted.map(({ data }) => data.id)); // bounded by the report
  cy.batch(() => {
    cy.elements()
      .filter((element) => !ids.has(element.id()))
      .remove();
    for (const element of wanted) {
      const known = cy.getElementById(element.data.id);
      if (known.empty()) cy.add(element);
      else {
        known.data(element.data);
        if (element.group === 'nodes') known.position(element.position);
      }
    }
  });
}

function sheetOf(labelled: boolean, many: boolean): StylesheetJson {
  const text = {
    color: colour('text'),
    'font-size': many ? 28 : 13,
    'text-outline-width': many ? 4 : 2,
    'text-outline-color': colour('ground'),
  };
  const states = ['up', 'busy', 'down'] as const;
  return [
    {
      selector: 'node',
      style: {
        ...text,
        label: 'data(label)',
        width: 30,
        height: 30,
        'background-color': colour('panel'),
        'border-width': 4,
        'text-valign': 'bottom',
        'text-margin-y': 5,
        'min-zoomed-font-size': 5,
      },
    },
    {
      selector: 'node[kind = "self"]',
      style: { shape: 'round-rectangle', width: 40, height: 40, 'font-weight': 'bold' },
    },
    { selector: 'node[kind = "endpoint"]', style: { shape: 'diamond' } },
    ...states.map((state) => ({
      selector: `node[state = "${state}"]`,
      style: {
        'border-color': colour(state),
        'border-style': state === 'down' ? ('dashed' as const) : ('solid' as const),
      },
    })),
    {
      selector: 'edge',
      style: {
        ...text,
        'font-size': 11,
        'text-outline-width': 0,
        'text-background-color': colour('ground'),
        'text-background-opacity': 1,
        'text-background-padding': '3',
        width: 'data(width)',
        'curve-style': 'straight',
        'min-zoomed-font-size': 6,
        label: labelled ? 'data(label)' : '',
      },
    },
    ...states.map((state) => ({
      selector: `edge[state = "${state}"]`,
      style: { 'line-color': colour(state), opacity: many ? 0.25 : state === 'up' ? 1 : 0.6 },
    })),
    { selector: 'edge[sealed = "no"]', style: { 'line-style': 'dashed' } },
    { selector: 'node.chosen', style: { 'background-color': colour('accent') } },
    {
      selector: 'edge.chosen',
      style: { label: 'data(label)', 'line-color': colour('accent'), 'z-index': 9 },
    },
  ];
}
