# --- probes: one write each, as the kernel stops at the first of several that does not attach

# The group's name says which process it belongs to: what a killed run has left is known by it.
group=sept_$$

# Appends a line to a file of tracefs. A truncating write to dynamic_events would remove all probes.
append() {
  { printf '%s\n' "$1" >>"$2"; } 2>/dev/null
}

has_word() {
  case " $1 " in *" $2 "*) return 0 ;; esac
  return 1
}

attached='' # names of events
made=''     # the same, with their groups
reasons=''  # lines "event: reason" of probes that did not attach

attach_probes() {
  first=${lists%% *}
  for list in $lists; do
    borrowed=
    while IFS='|' read -r event _ in definition; do
      has_word "$in" "$list" || continue
      ! has_word "$attached" "$event" || continue
      attach_probe "$event" "$definition" || continue
      has_word "$in" "$first" || borrowed="$borrowed $event"
    done <<END
$(probe_table)
END
    case $list in
      "$first" | tdx) ;;
      *) [ -z "$borrowed" ] || say "of the list $list instead:$borrowed" ;;
    esac
  done
}

# attach_probe EVENT DEFINITION, in which @ stands for the group
attach_probe() {
  definition=${2%%@*}$group${2#*@}
  symbol=${definition#* }
  symbol=${symbol%% *}
  if [ "$functions" != unknown ] && ! has_word "$functions" "$symbol"; then
    reasons="$reasons$1: the kernel has no function $symbol$newline"
    return 1
  fi
  if ! append "$definition" "$tracefs/dynamic_events"; then
    reasons="$reasons$1: $symbol: $(last_error)$newline"
    return 1
  fi
  attached="$attached $1"
  name=${definition#*:}
  made="$made ${name%% *}"
}

last_error() {
  error=$(sed -n 's/.*error: //p' "$tracefs/error_log" 2>/dev/null | tail -n 1)
  echo "${error:-the kernel refuses the probe}"
}

# Says what did not attach, why, and which rules that costs.
report_probes() {
  wanted=0 seen='' missing=''
  while IFS='|' read -r event rules in _; do
    ! has_word "$seen" "$event" || continue
    is_listed "$in" || continue
    seen="$seen $event"
    wanted=$((wanted + 1))
    has_word "$attached" "$event" || missing="$missing$event|$rules$newline"
  done <<END
$(probe_table)
END
  # shellcheck disable=SC2086 # words are counted
  set -- $attached
  say "$# of $wanted probes attached"
  while IFS='|' read -r event rules; do
    [ -z "$event" ] || say "not attached: $(printf %s "$reasons" | grep "^$event: " |
      head -n 1), $(cost_of "$rules")"
  done <<END
$missing
END
  [ $# -gt 0 ] || die 'no probe attached: nothing to record'
}

is_listed() {
  for list in $1; do
    ! has_word "$lists" "$list" || return 0
  done
  return 1
}

cost_of() {
  if [ -z "$1" ]; then
    echo 'which no rule needs by itself'
  else
    echo "which costs $1"
  fi
}

tracepoints='' # those that the kernel has

find_tracepoints() {
  while IFS='|' read -r tracepoint rules; do
    if [ -e "$tracefs/events/$tracepoint/enable" ]; then
      tracepoints="$tracepoints $tracepoint"
    else
      say "no tracepoint $tracepoint, $(cost_of "$rules")"
    fi
  done <<END
$(tracepoint_table)
END
}

# Removes probes, given with their groups. Each must be disabled, and in no instance.
remove_probes() {
  for name in $1; do
    append "-:$name" "$tracefs/dynamic_events" ||
      complain "the probe $name is left: it is in use; echo '-:$name' >> $tracefs/dynamic_events"
  done
}

# Prints the probes of a process, with their groups, from what the kernel has.
probes_of() {
  sed -n "s|^[a-z0-9]*:\(sept_$1[_lk]*/[a-z0-9_]*\).*|\1|p" \
    "$tracefs/dynamic_events" 2>/dev/null
}

# Removes what runs of this script have left that were killed: their process is no more.
remove_leftovers() {
  pids=$(
    {
      for dir in "$tracefs"/instances/sept_*; do echo "${dir##*/}"; done
      probes_of '[0-9]*'
    } | sed -n 's|^sept_\([0-9][0-9]*\).*|\1|p' | sort -u
  )
  for pid in $pids; do
    if [ "$pid" != $$ ] && kill -0 "$pid" 2>/dev/null; then
      say "process $pid runs: its probes sept_$pid stay"
      continue
    fi
    disable "$tracefs" "sept_$pid"
    [ ! -d "$tracefs/instances/sept_$pid" ] || rmdir "$tracefs/instances/sept_$pid"
    remove_probes "$(probes_of "$pid")"
    say "removed the probes of process $pid, which was killed"
  done
}
