/** docs/CONFIG.md, from the schema. A test compares the file with it. */
import { CONFIG_KEYS } from './keys.ts';
import { RELOADABLE } from './reload.ts';

const HEAD = `# Configuration

weft needs no configuration file: every key has a default that fits most hosts. Where a key is set in several places, the
first of these wins:

1. command line flags (\`--state\` is \`state_dir\`; \`--socket\`, \`--name\`, \`--address\`, \`--underlay\`, \`--tap\` are the keys of
   the same name),
2. environment variables,
3. the file: \`--config FILE\`, else \`WEFT_CONFIG\`, else \`/etc/weft/config.yaml\` if there is one,
4. \`STATE/host.yaml\`, where \`weft init\` and \`weft up\` record \`name\`, \`address\`, \`underlay\` and \`tap\`,
5. the default.

An unknown key or a value out of range stops the start with one line, \`FILE:LINE:COLUMN: what is wrong; fix\`, and exit
status 78. No key holds a secret.

\`weft reload\`, or SIGHUP, lets the running agent read all of this again. These keys then change without losing a packet:
${RELOADABLE.map((key) => `\`${key}\``).join(', ')}. All others need a restart, and the verb names those that have changed.

\`\`\`yaml
# /etc/weft/config.yaml
underlay: 192.0.2.10
log:
  level: debug
metrics:
  address: 0.0.0.0:9586
\`\`\`

In the environment, lists are separated by commas.

| key | environment | values | default | what it is |
|---|---|---|---|---|
`;

export function configReference(): string {
  const rows = CONFIG_KEYS.map(
    (key) =>
      `| \`${key.yaml}\` | \`${key.env}\` | ${key.values} | \`${key.default}\` | ${key.description.replaceAll('|', '\\|')} |`,
  );
  return `${HEAD}${rows.join('\n')}\n`;
}
