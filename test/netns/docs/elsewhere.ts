/**
 * Commands of the documents that the walk does not type, since they need a machine with systemd, a Docker, a registry, or hours:
 * each with the files that run it and the text by which they do. The last test of the walk holds every row to its files.
 */

export interface Elsewhere {
  /** From the root of the repository. */
  readonly file: string;
  readonly needle: string;
}

const CI = '.ci/run';
const SUITES = 'test/run.mjs';
const DEB = 'test/install/deb.test.ts';
const DOCKER = 'test/install/docker.test.ts';
const SCRIPTS = 'package.json';

type Row = readonly [string, readonly Elsewhere[]];

/** Typed as they stand by the test of the package or of the image. */
const typed = (file: string, ...commands: readonly string[]): Row[] =>
  commands.map((command) => [command, [{ file, needle: command.replaceAll('\\', '\\\\') }]]);

/** Run by this file under another name, or by hand: `needle` is how. */
const runBy = (command: string, file: string, needle: string): Row => [command, [{ file, needle }]];

/** What measures, and is started by hand: its script, and the options of the document in the program that reads them. */
const measured = (program: string, ...commands: readonly string[]): Row[] =>
  commands.map((command) => {
    const script = /npm run (\S+)/.exec(command)?.[1] ?? '';
    const options = [...command.matchAll(/ --(\w+)/g)].map(([, name]) => ({
      file: program,
      needle: `${name}: { type: `,
    }));
    return [command, [{ file: SCRIPTS, needle: `"${script}": "` }, ...options]];
  });

export const ELSEWHERE: ReadonlyMap<string, readonly Elsewhere[]> = new Map<string, readonly Elsewhere[]>([
  runBy('npm ci', CI, '\nnpm ci\n'),
  runBy('npm test', CI, '\nnpm test\n'),
  runBy('sudo npm test', CI, '\nnpm test\n'),
  runBy('npm run fuzz:native', CI, '\nnpm run --silent fuzz:native -- --runs '),
  runBy('npm run fuzz:native -- --runs 10000000', CI, '\nnpm run --silent fuzz:native -- --runs '),
  runBy('apt install gcc libc6-dev', 'docker/Dockerfile', 'gcc libc6-dev)'),
  runBy('apt install libipsec-mb-dev', CI, 'missing+=(libipsec-mb-dev)'),
  ...typed(
    DEB,
    'npm run package',
    'apt install ./weft_0.1.0_amd64.deb',
    'runuser -u weft -- weft init --name alpha --address 10.80.0.1/24 --underlay 192.0.2.10',
    'systemctl enable --now weft',
    'weft token create --ttl 1h --uses 5 > token',
    'install -m 0400 -o weft token /etc/weft/token',
    "printf 'WEFT_NAME=beta\\nWEFT_UNDERLAY=192.0.2.11\\nWEFT_TOKEN_FILE=/etc/weft/token\\n' > /etc/default/weft",
    'systemctl enable --now weft && rm /etc/weft/token',
    'systemctl status weft',
    'systemctl restart weft',
    'journalctl -u weft',
    'journalctl -u weft -n 20',
    'journalctl -u weft -n 50',
    'journalctl -u weft -g watchdog',
    'chmod 0666 /dev/net/tun',
    'apt install ./weft_NEW.deb',
    'apt remove weft',
    'apt purge weft',
  ),
  ...typed(DOCKER, 'docker build -f docker/Dockerfile -t weft .', 'docker exec weft weft status'),
  ...typed(
    DOCKER,
    'docker run -d --name weft --network host --cap-drop ALL --cap-add NET_ADMIN --device /dev/net/tun -v weft-state:/var/lib/weft -v /root/token:/run/token:ro -e WEFT_NAME=beta -e WEFT_TOKEN_FILE=/run/token weft',
  ),
  // What `weft doctor` asks of a card.
  runBy('ethtool -k', 'agent/host/nic.ts', "['ethtool', '-k', device]"),
  // Of `npm test`, under the name of its suite.
  runBy('npm run lint', SUITES, "run('npx', ['biome', 'check', '.'])"),
  runBy('npm run build', SUITES, "run('npm', ['run', '--silent', 'build'])"),
  runBy('npm run test:unit', SUITES, "unit: tests('test/unit'"),
  runBy('node test/run.mjs netns --only crash', SUITES, "const at = args.indexOf('--only')"),
  runBy('npm run test:sanitize', SUITES, 'sanitize: { run: runSanitized, root: true }'),
  runBy('npm run test:prometheus', SUITES, "prometheus: { ...tests('test/prometheus'), root: true }"),
  runBy('npm run attacks', SUITES, "attacks: { ...tests('test/attacks'), root: true }"),
  runBy('npm run lab', 'test/e2e/lab.test.ts', "[...WEFT, 'lab']"),
  runBy('npm run fuzz', 'test/vector/fuzz-decoders.test.ts', 'fuzzTarget('),
  runBy('sudo npm run soak', 'test/netns/mixed-traffic.test.ts', 'process.env.WEFT_SOAK_SEC'),
  runBy('sudo npm run test:matrix', 'test/netns/offload-exchange.ts', 'process.env.WEFT_MATRIX'),
  runBy('npm run typecheck', SCRIPTS, '"typecheck": "tsc -p . --noEmit && tsc -p ui"'),
  // The installation and page tests, by hand: they need a mirror or a browser.
  runBy(
    'npm run test:deb',
    SCRIPTS,
    '"test:deb": "npm run --silent build && node --test dist/test/install/deb.test.js"',
  ),
  runBy('sudo npm run test:ui', SCRIPTS, '"test:ui": "npm run --silent build && node test/ui/tools.mjs'),
  ...measured(
    'test/sim/cli.ts',
    'npm run sim',
    'npm run sim -- --seeds 200',
    'npm run sim -- --members 10000 --seconds 20 --crash 1 --seed 1',
    'npm run sim -- --seeds 200 --seed 1',
    'npm run sim:night',
  ),
  ...measured(
    'test/scenarios/cli.ts',
    'npm run scenarios -- --runs 10',
    'npm run scenarios -- --only 5,14a,30 --table',
    'npm run scenarios -- --long --only 12,32a',
    'npm run gates',
  ),
  ...measured(
    'test/bench/peers/arguments.ts',
    'sudo npm run bench',
    'npm run bench -- --json before.json',
    'npm run bench -- --rounds 3 --secs 4 --wire virt,nic,soft --json now.json --compare before.json',
    'sudo npm run bench:gc',
    'sudo npm run bench:profile',
    'sudo npm run bench:micro',
  ),
]);
