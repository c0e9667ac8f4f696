# --- command line

usage() {
  cat <<'END'
usage: sh capture.sh [option ...] [-- command [argument ...]]

Records KVM's page tables until the command ends or, without one, until Enter or
Ctrl-C. Then writes one file for `sept trace`, and restores what it has changed.
Begin before the VM is created: what was there before is not judged.

  -o, --output FILE   output (default kvm.trace, or kvm.trace.gz with -z)
  -f, --force         overwrite the output
  -z, --gzip          compress the output
  -b, --buffer KB     buffer of each CPU (default 65536; an event takes some 60 bytes)
  -c, --comm PATTERN  record lock events of tasks of this name, too (a glob, repeatable)
  -a, --all-tasks     record lock events of all tasks: many, but none is missing
  -t, --tasks         print the names of the tasks whose lock events are recorded
  -h, --help          print this text

TRACEFS names the folder of tracefs if it is not mounted at its usual place.

Exit status: that of the command, or 0; 125 if nothing could be recorded or written,
or something could not be restored; 126 or 127 if the command cannot be run.
A signal ends the recording as Enter does. Before and after it, a signal restores
everything, writes nothing, and the status is 128 plus the number of the signal.
END
}

FAILED=125

say() {
  printf 'sept: %s\n' "$*" >&2
}

die() {
  say "$*"
  exit "$FAILED"
}

output='' force='' compress='' buffer='' patterns='' all_tasks=''

used=0 # number of arguments before the command

parse_options() {
  while [ $# -gt 0 ]; do
    used=$((used + 1))
    case $1 in
      -o | --output | -b | --buffer | -c | --comm)
        [ $# -gt 1 ] || die "$1: a value is missing; -h prints the options"
        take_value "$1" "$2"
        used=$((used + 1))
        shift
        ;;
      -f | --force) force=1 ;;
      -z | --gzip) compress=1 ;;
      -a | --all-tasks) all_tasks=1 ;;
      -t | --tasks)
        task_table
        exit 0
        ;;
      -h | --help)
        usage
        exit 0
        ;;
      --) return ;;
      *) die "$1: no such option; -h prints the options, and a command follows --" ;;
    esac
    shift
  done
}

take_value() {
  case $1 in
    -o | --output) output=$2 ;;
    -b | --buffer)
      case $2 in
        '' | *[!0-9]* | 0*) die "$1 $2: not a number of KB" ;;
      esac
      buffer=$2
      ;;
    -c | --comm)
      check_pattern "$1" "$2"
      patterns="$patterns$2$newline"
      ;;
  esac
}

newline='
'

# The kernel keeps 15 characters of a name, so that a longer pattern without * matches no task.
check_pattern() {
  case $2 in
    '' | *'"'* | *"$newline"*) die "$1 $2: not a name of a task" ;;
    *'*'*) ;;
    ????????????????*)
      die "$1 $2: the kernel keeps 15 characters of a name; write '$(printf '%.15s' "$2")'"
      ;;
  esac
}
