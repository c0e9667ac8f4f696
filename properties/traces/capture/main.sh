# --- from the first check to the end

stage=before

# A signal ends the wait as Enter does. A command gets signals of the terminal itself, and the shell
# handles its own when the command has ended.
on_signal() {
  case $stage in
    waiting) finish 0 ;;
    command) ;;
    *) exit $((128 + $1)) ;;
  esac
}

clean_up() {
  status=$?
  trap '' HUP INT TERM
  trap - EXIT
  [ -z "$part" ] || rm -f -- "$part"
  restore
  [ -z "$incomplete" ] || status=$FAILED
  exit "$status"
}

# Waits for Enter. Where there is no input, only a signal ends the recording.
wait_for_end() {
  stage=waiting
  say 'recording: Enter or Ctrl-C ends it'
  read -r _ || while :; do sleep 1; done
}

# finish STATUS
finish() {
  put 0 "$trace/tracing_on"
  stage=after
  write_output
  exit "$1"
}

main() {
  parse_options "$@"
  shift "$used"
  if [ $# -gt 0 ] && ! command -v "$1" >/dev/null; then
    say "$1: no such command"
    exit 127
  fi
  require_host
  choose_lists
  check_mmu
  trap clean_up EXIT
  trap 'on_signal 1' HUP
  trap 'on_signal 2' INT
  trap 'on_signal 15' TERM
  check_output
  remove_leftovers
  open_buffer
  set_up_buffer
  check_space
  find_functions
  attach_probes
  report_probes
  find_tracepoints
  filter_locks
  start
  result=0
  if [ $# -eq 0 ]; then
    wait_for_end
  else
    stage='command'
    "$@" || result=$?
  fi
  finish "$result"
}

main "$@"
