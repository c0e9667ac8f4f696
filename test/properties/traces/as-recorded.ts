/** The text of a tracefs capture as other recorders print it: with addresses instead of names. */
const EVENT = /^(\s*\S.*?)-(\d+)\s+\[(\d+)\] (\S+)\s+([\d.]+): (\w+): (.*)$/;
const RETURN = /^\((\S+?)(?:\s\[\w+\])? <- (\S+?)\)(.*)$/;
const ENTRY = /^\(([^\s)]+)(?:\s\[\w+\])?\)(.*)$/;

const [TEXT, MODULE] = [0xffffffff99000000n, 0xffffffffc0900000n];
/** Largest size of the functions in captures, which the next one begins after. */
const SPACING = 0xc00n;
const PLACE = /^(\w+)(?:\.\w+)*(?:\+0x([\da-f]+))?/;
/** Functions that are not in KVM's module. */
const OF_KERNEL = /^(?:_raw_|__cond_resched)/;

/** Addresses of functions, as a boot of a kernel may have them. */
class Layout {
  private readonly bases = new Map<string, bigint>();

  addressOf(place: string): string {
    const [, name = '', offset = '0'] = PLACE.exec(place) ?? [];
    const known = this.bases.get(name);
    const start = OF_KERNEL.test(name) ? TEXT : MODULE;
    const base = known ?? start + BigInt(this.bases.size) * SPACING;
    this.bases.set(name, base);
    return (base + BigInt(`0x${offset}`)).toString(16);
  }

  /** The body of an event with addresses. A return probe names the function before its caller. */
  bodyOf(body: string): string {
    const [, caller, probed = '', values = ''] = RETURN.exec(body) ?? [];
    if (caller !== undefined)
      return `(${this.addressOf(probed)} <- ${this.addressOf(caller)})${values}`;
    const [, place, rest = ''] = ENTRY.exec(body) ?? [];
    return place === undefined ? body : `(${this.addressOf(place)})${rest}`;
  }
}

type Print = (
  comm: string,
  pid: string,
  cpu: string,
  flags: string,
  time: string,
  name: string,
  body: string,
) => string;

function reprinted(lines: readonly string[], print: Print): string[] {
  const layout = new Layout();
  return lines.map((line) => {
    const [, comm, pid = '', cpu = '', flags = '', time = '', name = '', body = ''] =
      EVENT.exec(line) ?? [];
    if (comm === undefined) return line;
    return print(comm.trim(), pid, cpu, flags, time, name, layout.bodyOf(body));
  });
}

/** As `trace-cmd report` prints it. */
export const asTraceCmd = (lines: readonly string[]): string[] =>
  reprinted(
    lines,
    (comm, pid, cpu, flags, time, name, body) =>
      `${comm.padStart(16)}-${pid.padEnd(5)} [${cpu}] ${flags} ${time.padStart(11)}: ` +
      `${`${name}:`.padEnd(21)} ${body}`,
  );

/** As `trace-cmd report -R` prints probes; tracepoints stay as they are. */
export const asRaw = (lines: readonly string[]): string[] =>
  asTraceCmd(lines).map((line) =>
    line
      .replace(/\((\w{16}) <- (\w{16})\)/, ' __probe_func=$1 __probe_ret_ip=$2')
      .replace(/\((\w{16})\)/, ' __probe_ip=$1'),
  );

/** As `perf script` prints it. */
export const asPerf = (lines: readonly string[]): string[] =>
  reprinted(
    lines,
    (comm, pid, cpu, _, time, name, body) =>
      `${comm.padStart(16)} ${pid.padStart(7)} [${cpu}] ${time.padStart(15)}: ` +
      `${`kv:${name}`.padStart(31)}: ${body}`,
  );
