/**
 * Writes the files that a command line names. A regular file is written aside and renamed, so that
 * it is never half-written; it keeps its mode, and a symlink to it stays. A device, a FIFO or an
 * open descriptor is written through. `-` is standard output.
 */
import {
  accessSync,
  chmodSync,
  constants,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  type Stats,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { UsageError } from './errors.ts';

/** Name of a file that stands for standard output. */
const STANDARD_OUTPUT = '-';
const STDOUT_FD = 1;
/** A name of an open descriptor, as Linux has them. */
const DESCRIPTOR = /^\/(?:dev|proc\/self)\/fd\/(\d+)$/;
const DESCRIPTORS: ReadonlyMap<string, number> = new Map([
  [STANDARD_OUTPUT, STDOUT_FD],
  ['/dev/stdout', STDOUT_FD],
  ['/dev/stderr', 2],
]);
/** Links to follow, as many as Linux follows. */
const MAX_LINKS = 40;

/** The open descriptor that a name stands for, or null. */
function descriptorOf(file: string): number | null {
  const known = DESCRIPTORS.get(file);
  if (known !== undefined) return known;
  const [, number] = DESCRIPTOR.exec(file) ?? [];
  return number === undefined ? null : Number(number);
}

/** Whether what is written to `file` goes to standard output. */
export const isStandardOutput = (file: string | undefined): boolean =>
  file !== undefined && descriptorOf(file) === STDOUT_FD;

/** The file that a name leads to by symlinks, whether it exists or not. */
function targetOf(file: string): string {
  let target = file;
  for (let links = 0; links < MAX_LINKS; links++) {
    if (lstatSync(target, { throwIfNoEntry: false })?.isSymbolicLink() !== true) break;
    target = resolve(dirname(target), readlinkSync(target));
  }
  return target;
}

const statOf = (file: string): Stats | undefined => statSync(file, { throwIfNoEntry: false });

/** Checks, before anything runs, that `file` can be written. @throws UsageError */
export function assertWritable(file: string | undefined): void {
  if (file === undefined || descriptorOf(file) !== null) return;
  reported(file, () => {
    const target = targetOf(file);
    const folder = dirname(target);
    if (!existsSync(folder)) throw new UsageError(`${file}: no folder ${folder}; create it first`);
    if (!existsSync(target)) return;
    if (statSync(target).isDirectory()) throw new UsageError(`${file}: is a folder; name a file`);
    accessSync(target, constants.W_OK);
  });
}

/**
 * Writes the whole of `file`, or nothing of it unless it is a device, a FIFO or a descriptor.
 *
 * @throws UsageError if it cannot be written
 */
export function writeOutput(file: string, bytes: Uint8Array | string): void {
  assertWritable(file);
  reported(file, () => {
    const descriptor = descriptorOf(file);
    // what is printed before and after waits in the same queue
    if (descriptor === STDOUT_FD) process.stdout.write(bytes);
    else if (descriptor !== null) writeFileSync(descriptor, bytes);
    else if (statOf(file)?.isFile() === false) writeFileSync(file, bytes, { flag: 'r+' });
    else replace(targetOf(file), bytes);
  });
}

/** Does something to a file. @throws UsageError for an error of the file system */
function reported(file: string, action: () => void): void {
  try {
    action();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(`${file}: cannot be written: ${reasonOf(error)}`, { cause: error });
  }
}

/** Replaces a regular file, or creates it. */
function replace(file: string, bytes: Uint8Array | string): void {
  const before = statOf(file);
  const draft = draftOf(file);
  try {
    writeFileSync(draft, bytes, { flag: 'wx' });
    if (before !== undefined) chmodSync(draft, before.mode);
    renameSync(draft, file);
  } finally {
    removeDraft(draft);
  }
}

/** Writes a file that must not exist, completely or not at all. @throws UsageError */
export function createOutput(file: string, text: string): void {
  const draft = draftOf(file);
  try {
    writeFileSync(draft, text, { flag: 'wx' });
    linkSync(draft, file); // fails if the file exists
  } catch (error) {
    throw new UsageError(`${file} is not written: ${reasonOf(error)}`, { cause: error });
  } finally {
    removeDraft(draft);
  }
}

/** A hidden file beside `file`: a rename does not leave the file system. */
const draftOf = (file: string): string => join(dirname(file), `.sept-${process.pid}.draft`);

/** Its folder may be no folder, or may be gone: what matters has been reported. */
function removeDraft(draft: string): void {
  if (existsSync(draft)) rmSync(draft);
}

/**
 * Creates a folder and those that it is in. `mkdirSync` with `recursive` never returns in a file
 * system that takes no folders, such as /proc.
 *
 * @throws UsageError
 */
export function makeFolder(folder: string): void {
  if (existsSync(folder)) {
    if (statSync(folder).isDirectory()) return;
    throw new UsageError(`${folder}: not a folder`);
  }
  const parent = dirname(folder);
  if (parent !== folder) makeFolder(parent);
  try {
    mkdirSync(folder);
  } catch (error) {
    throw new UsageError(`${folder}: cannot be created: ${reasonOf(error)}`, { cause: error });
  }
}

const REASONS: ReadonlyMap<string, string> = new Map([
  ['EEXIST', 'the file exists; choose another name, or another folder with --dir'],
  ['ENOENT', 'there is no such folder; create it first'],
  ['ENOTDIR', 'there is no such folder; create it first'],
  ['EACCES', 'no permission'],
  ['ENOSPC', 'no space is left on the device'],
  ['EROFS', 'the file system is read-only'],
]);

function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  return REASONS.get(code) ?? (error instanceof Error ? error.message : String(error));
}
