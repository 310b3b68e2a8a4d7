/** Throughput of the TAP over the last ten minutes, drawn by uplot. */
import { useEffect, useRef } from 'preact/hooks';
import UPlot from 'uplot';
import 'uplot/dist/uPlot.min.css';
import type { History } from './model/history.ts';
import { formatRate } from './model/text.ts';
import { colour } from './theme.ts';

const HEIGHT_PX = 150;

export function Chart({ history, dark }: { readonly history: History; readonly dark: boolean }) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot | null>(null);

  useEffect(() => {
    const element = box.current;
    if (element === null) return;
    const bits = (_: unknown, value: number | null): string => (value === null ? '–' : formatRate(value / 8));
    const axis = { stroke: colour('muted'), grid: { stroke: colour('line'), width: 1 } };
    const made = new UPlot(
      {
        width: Math.max(200, element.clientWidth),
        height: HEIGHT_PX,
        cursor: { drag: { x: false, y: false } },
        scales: { y: { range: (_: unknown, __: number, max: number) => [0, Math.max(1000, max * 1.1)] } },
        series: [
          {},
          { label: 'sent', stroke: colour('up'), width: 2, value: bits },
          { label: 'received', stroke: colour('accent'), width: 2, dash: [6, 3], value: bits },
        ],
        axes: [
          { ...axis, space: 80 },
          {
            ...axis,
            size: 80,
            values: (_: unknown, marks: number[]) => marks.map((mark) => formatRate(mark / 8)),
          },
        ],
      },
      [[], [], []],
      element,
    );
    plot.current = made;
    const resized = new ResizeObserver(() =>
      made.setSize({ width: Math.max(200, element.clientWidth), height: HEIGHT_PX }),
    );
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [dark]);

  useEffect(() => {
    plot.current?.setData([[...history.at], [...history.tx], [...history.rx]]);
  }, [history, dark]);

  const last = (column: readonly number[]): string => formatRate((column.at(-1) ?? 0) / 8);
  return (
    <figure class="chart">
      <figcaption>Throughput of this host</figcaption>
      <div ref={box} role="img" aria-label={`Sending ${last(history.tx)}, receiving ${last(history.rx)}`} />
    </figure>
  );
}
