/** The dashboards of docker/grafana, as the tests read them: every expression with Grafana's variables filled in. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

export const DASHBOARDS = 'docker/grafana/dashboards';

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly { readonly refId: string; readonly expr: string }[];
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly { readonly name: string; readonly type: string; readonly definition?: string }[];
  };
}

export function dashboards(): Dashboard[] {
  return readdirSync(DASHBOARDS)
    .sort()
    .map((file) => JSON.parse(readFileSync(join(DASHBOARDS, file), 'utf8')) as Dashboard);
}

/** @param instance what the variable for one host stands for */
export function expressions(dashboard: Dashboard, instance: string): { panel: string; expr: string }[] {
  return dashboard.panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({
      panel: `${dashboard.title}: ${title}`,
      expr: expr
        .replaceAll('$job', 'weft')
        .replaceAll('$instance', instance)
        .replaceAll('$__rate_interval', '5m'),
    })),
  );
}
