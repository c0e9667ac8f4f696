# --- the buffer, in an instance of its own: other users of ftrace keep theirs

trace=    # the folder of the buffer
instance= # the same, if it is an instance
changed=  # lines "file|value" to restore, the last change first

# Writes a value to a file of tracefs, and notes the one that it replaces.
change() {
  [ -e "$1" ] || return 1
  old=$(sed 's/.*\[\(.*\)\].*/\1/; s/.*expanded: \([0-9]*\).*/\1/' "$1")
  [ "$old" != "$2" ] || return 0
  put "$2" "$1" || return 1
  changed="$1|$old$newline$changed"
}

put() {
  { printf '%s\n' "$1" >"$2"; } 2>/dev/null
}

# The shell exits if a redirection of : fails, but not for other commands.
empty() {
  { printf '' >"$1"; } 2>/dev/null
}

open_buffer() {
  instance=$tracefs/instances/$group
  mkdir "$instance" 2>/dev/null
  trace=$instance
  [ ! -e "$trace/tracing_on" ] || return 0
  [ ! -d "$instance" ] || rmdir "$instance"
  instance=
  if [ "$(cat "$tracefs/current_tracer")" != nop ] || [ -n "$(cat "$tracefs/set_event")" ]; then
    trace=
    die "$tracefs: in use, and the kernel makes no instance: end the other tracing first"
  fi
  trace=$tracefs
  say 'the kernel makes no instance: the global buffer is used, and emptied'
}

set_up_buffer() {
  change "$trace/tracing_on" 0
  set_options
  set_clock
  set_size
  keep_names
  empty "$trace/trace"
}

# Options of the buffer, and what it costs if the kernel lacks one. What is off here adds lines or
# columns that are no events.
option_table() {
  cat <<'END'
hash-ptr|0|addresses are hashed, and K2, K3 and K13 do not see fast page faults
irq-info|1|interrupts are taken for the tasks that they interrupt
overwrite|0|a full buffer loses its beginning
context-info|1|
bin|0|
block|0|
fields|0|
hex|0|
latency-format|0|
pause-on-trace|0|
raw|0|
record-tgid|0|
stacktrace|0|
sym-addr|0|
userstacktrace|0|
verbose|0|
END
}

set_options() {
  while IFS='|' read -r option value cost; do
    change "$trace/options/$option" "$value" || [ -z "$cost" ] ||
      say "option $option cannot be set to $value: $cost"
  done <<END
$(option_table)
END
}

# Only counter gives each event its own number, which orders the events of all CPUs.
set_clock() {
  for clock in counter mono global; do
    change "$trace/trace_clock" "$clock" || continue
    [ "$clock" = counter ] ||
      say "no clock counter, so $clock: events of two CPUs at one time are in any order"
    return
  done
  say 'no clock orders the CPUs: their events may be in the wrong order'
}

# Size to which the kernel expands the global buffer at its first use. 6.1 takes that as done when
# the buffer of an instance is resized, and would leave the global one tiny.
expanded=

DEFAULT_KB=65536
LEAST_KB=1024

set_size() {
  cpus=$(grep -c '^processor' /proc/cpuinfo)
  [ "$cpus" -gt 0 ] || cpus=1
  kb=${buffer:-$DEFAULT_KB}
  if [ "$(cat "$trace/buffer_size_kb")" = X ]; then
    say 'the buffers of the CPUs differ in size, and stay as they are'
    return
  fi
  free=$(sed -n 's/^MemAvailable: *\([0-9]*\).*/\1/p' /proc/meminfo)
  while [ -z "$buffer" ] && [ "$kb" -gt "$LEAST_KB" ] && [ $((kb * cpus * 2)) -gt "${free:-0}" ]; do
    kb=$((kb / 2))
  done
  [ "$kb" -eq "${buffer:-$DEFAULT_KB}" ] ||
    say "buffers of $kb KB: $DEFAULT_KB KB for each of $cpus CPUs is over half of the free memory"
  expanded=$(sed -n 's/.*expanded: \([0-9]*\).*/\1/p' "$tracefs/buffer_size_kb")
  change "$trace/buffer_size_kb" "$kb" ||
    die "the kernel gives no buffer of $kb KB for each of $cpus CPUs; take a smaller --buffer"
}

LEAST_NAMES=4096

# The kernel keeps names of few tasks by default, and then prints <...> for the others.
keep_names() {
  change "$tracefs/options/record-cmd" 1
  names=$(cat "$tracefs/saved_cmdlines_size" 2>/dev/null)
  [ "${names:-$LEAST_NAMES}" -ge "$LEAST_NAMES" ] ||
    change "$tracefs/saved_cmdlines_size" "$LEAST_NAMES"
  return 0
}

filtered=

# Lock events are those of the whole kernel. Those of the tasks that work on page tables remain.
filter_locks() {
  case $made in *_lk/*) ;; *) return 0 ;; esac
  [ -z "$all_tasks" ] || return 0
  filter=
  while read -r pattern; do
    [ -z "$pattern" ] || filter="$filter${filter:+ || }comm ~ \"$pattern\""
  done <<END
$(task_table | sed 's/ *#.*//')
$patterns
END
  if put "$filter" "$trace/events/${group}_lk/filter"; then
    filtered=1
  else
    say "the kernel takes no filter of ${#filter} characters: lock events of all tasks are recorded"
  fi
}

start() {
  for name in "$group" "${group}_lk"; do
    case $made in
      *" $name/"*)
        put 1 "$trace/events/$name/enable" || die "$trace/events/$name: cannot be enabled"
        ;;
    esac
  done
  recorded=
  for name in $tracepoints; do
    if put 1 "$trace/events/$name/enable"; then
      recorded="$recorded $name"
    else
      say "the tracepoint $name cannot be enabled"
    fi
  done
  put 1 "$trace/tracing_on" || die "$trace/tracing_on: the kernel does not record"
}

recorded=

# disable FOLDER GROUP
disable() {
  for name in "$2" "$2_lk"; do
    case $(cat "$1/events/$name/enable" 2>/dev/null) in
      '' | 0) ;;
      *) put 0 "$1/events/$name/enable" ;;
    esac
  done
}

# Removes the probes and the instance, and restores what was changed.
restore() {
  [ -n "$trace" ] || return 0
  put 0 "$trace/tracing_on"
  disable "$trace" "$group"
  for name in $recorded; do
    put 0 "$trace/events/$name/enable"
  done
  [ ! -d "$instance" ] || rmdir "$instance" 2>/dev/null ||
    complain "the instance is left, as it is in use: rmdir $instance"
  remove_probes "$(probes_of $$)"
  while IFS='|' read -r file value; do
    [ ! -e "$file" ] || put "$value" "$file" || complain "$file is no longer $value"
  done <<END
$changed
END
  [ -z "$expanded" ] || grep -q expanded "$tracefs/buffer_size_kb" ||
    put "$expanded" "$tracefs/buffer_size_kb"
  [ "$trace" != "$tracefs" ] || empty "$trace/trace"
}

incomplete=

complain() {
  say "$*"
  incomplete=1
}
