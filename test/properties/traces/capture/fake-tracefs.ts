/**
 * A tracefs of plain files, in which the script of `sept probes --script` runs. Files keep what was
 * last written to them, and `dynamic_events` every line. What the kernel does by itself is done by
 * programs in front of the PATH: mkdir fills an instance, rmdir empties it, uname and id answer.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { PROBES } from '../../../../properties/traces/kernels/probes.ts';
import { TDX_PROBES } from '../../../../properties/traces/kernels/tdx-probes.ts';
import { TRACEPOINTS } from '../../../../properties/traces/probes.ts';

export interface Ended {
  readonly code: number | null;
  readonly stderr: string;
}

/** What a run of the script differs in from the usual one. */
export interface RunOptions {
  /** Shell, as words; `sh` by default. */
  readonly shell?: readonly string[];
  /** What `uname -r` prints. */
  readonly release?: string;
  /** What `id -u` prints. */
  readonly uid?: number;
  /** Whether the standard input ends at once; otherwise it stays open, and empty. */
  readonly noInput?: boolean;
}

/** Files with what they contain before a capture. */
const FILES: Readonly<Record<string, string>> = {
  available_filter_functions: [
    ...new Set([...Object.values(PROBES).flat(), ...TDX_PROBES].map(({ symbol }) => symbol)),
  ]
    .map((symbol) => `${symbol} [kvm]\n`)
    .join(''),
  buffer_size_kb: '7 (expanded: 1408)\n',
  current_tracer: 'nop\n',
  dynamic_events: 'p:kprobes/theirs do_exit\n',
  kprobe_profile: '',
  'options/hash-ptr': '1\n',
  'options/irq-info': '0\n',
  'options/overwrite': '1\n',
  'options/record-cmd': '1\n',
  'options/verbose': '0\n',
  saved_cmdlines_size: '128\n',
  set_event: '',
  trace: '# theirs\n',
  trace_clock: '[local] global counter mono\n',
  tracing_on: '1\n',
  'events/kvm/enable': '0\n',
  ...Object.fromEntries(
    TRACEPOINTS.map(({ system, event }) => [`events/${system}/${event}/enable`, '0\n']),
  ),
};

/** Programs in front of the PATH. Arguments of the kernel's folders are the last ones. */
const PROGRAMS: Readonly<Record<string, string>> = {
  uname: 'echo "$RELEASE"',
  id: 'echo "$FAKE_UID"',
  mkdir: [
    '/bin/mkdir "$@" || exit',
    'case $1 in "$TRACEFS"/instances/*) cd "$TRACEFS" && cp -r events options per_cpu \\',
    '  buffer_size_kb trace trace_clock tracing_on "$1" && echo 0 > "$1/tracing_on" ;; esac',
  ].join('\n'),
  rmdir: 'rm -r "$@"',
};

const STARTED = /sept: recording: /;

export class FakeTracefs {
  readonly folder = mkdtempSync(join(tmpdir(), 'sept-tracefs-'));
  readonly path = join(this.folder, 'tracefs');
  private readonly script: string;

  /** A tracefs without instances, and a script to run in it. */
  constructor(script: string) {
    this.script = join(this.folder, 'capture.sh');
    writeFileSync(this.script, script);
    for (const [name, text] of Object.entries(FILES)) this.write(name, text);
    for (const cpu of [0, 1]) {
      this.write(`per_cpu/cpu${cpu}/stats`, 'entries: 1\noverrun: 0\ndropped events: 0\n');
      this.write(`per_cpu/cpu${cpu}/trace`, '');
    }
    for (const [name, body] of Object.entries(PROGRAMS)) {
      const file = join(this.folder, 'bin', name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, `#!/bin/sh\n${body}\n`);
      chmodSync(file, 0o755);
    }
  }

  read(name: string): string {
    return readFileSync(join(this.path, name), 'utf8');
  }

  /** Lines of a file. */
  lines(name: string): string[] {
    return this.read(name).trimEnd().split('\n');
  }

  write(name: string, text: string): void {
    const file = join(this.path, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }

  remove(name: string): void {
    rmSync(join(this.path, name), { recursive: true });
  }

  has(name: string): boolean {
    return existsSync(join(this.path, name));
  }

  /** Files that the script has written outside tracefs. */
  outputs(): string[] {
    return readdirSync(this.folder).filter((name) => /trace($|\.)/.test(name));
  }

  output(name = 'kvm.trace'): string {
    return readFileSync(join(this.folder, name), 'utf8');
  }

  /** Contents of all files of tracefs, by their names. */
  state(): Record<string, string> {
    return Object.fromEntries(
      readdirSync(this.path, { recursive: true, encoding: 'utf8', withFileTypes: true })
        .filter((entry) => entry.isFile())
        .map((entry) => {
          const name = join(entry.parentPath, entry.name).slice(this.path.length + 1);
          return [name, this.read(name)];
        }),
    );
  }

  dispose(): void {
    rmSync(this.folder, { recursive: true });
  }

  /** Runs the script, and returns when it has ended. */
  async run(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
    return this.start(args, options).ended;
  }

  /**
   * Starts the script in a group of processes of its own. The shell that it replaces makes the
   * folders of the events, as the kernel does when a probe is attached: their name has its id.
   */
  start(args: readonly string[], options: RunOptions = {}): Started {
    const { shell = ['sh'], release = '7.3.4', uid = 0, noInput = false } = options;
    const makeGroups = [
      'for group in sept_$$ sept_$$_lk; do',
      '  /bin/mkdir -p "$TRACEFS/events/$group"',
      '  for file in enable filter; do echo 0 > "$TRACEFS/events/$group/$file"; done',
      'done',
      'exec "$@"',
    ].join('\n');
    const words = ['-c', makeGroups, 'sh', ...shell, this.script, '-b', '1024', ...args];
    const child = spawn('sh', words, {
      cwd: this.folder,
      detached: true,
      stdio: [noInput ? 'ignore' : 'pipe', 'ignore', 'pipe'],
      env: {
        ...process.env,
        PATH: `${join(this.folder, 'bin')}:${process.env['PATH']}`,
        TRACEFS: this.path,
        FAKE_UID: String(uid),
        RELEASE: release,
      },
    });
    return new Started(child);
  }
}

/** A run of the script. */
export class Started {
  private readonly child: ChildProcess;
  private stderr = '';
  readonly ended: Promise<Ended>;

  constructor(child: ChildProcess) {
    this.child = child;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.ended = new Promise((resolve, reject) => {
      child.on('error', reject);
      child.on('close', (code) => resolve({ code, stderr: this.stderr }));
    });
  }

  /** Id of the process, which is in the names of its probes. */
  get pid(): number {
    return this.child.pid ?? 0;
  }

  /** Returns when the script has started to record. */
  async recording(): Promise<void> {
    while (!STARTED.test(this.stderr)) await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }

  /** Sends a signal to the group of processes, as a terminal does. */
  signal(name: NodeJS.Signals): void {
    process.kill(-this.pid, name);
  }

  type(text: string): void {
    this.child.stdin?.write(text);
  }
}

const POLL_MS = 10;
