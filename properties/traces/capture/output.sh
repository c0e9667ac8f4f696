# --- the output

part=

check_output() {
  output=${output:-kvm.trace${compress:+.gz}}
  folder=$(dirname -- "$output")
  [ -d "$folder" ] || die "$output: the folder $folder does not exist"
  [ ! -d "$output" ] || die "$output: a folder; name a file with -o"
  [ -n "$force" ] || [ ! -e "$output" ] || die "$output: exists; -f overwrites it"
  [ -z "$compress" ] || command -v gzip >/dev/null || die 'no gzip here: leave out -z'
  # before anything is recorded: the folder may be on a file system that is read-only
  part=$output.$$.part
  empty "$part" || die "$part: cannot be written"
  rm -f -- "$part"
}

# Text takes about twice the room of a full buffer; compressed, an eighth of that.
check_space() {
  need=$((kb * cpus * 2))
  [ -z "$compress" ] || need=$((need / 8))
  free=$(df -Pk "$folder" | awk 'NR == 2 { print $4 }')
  [ "${free:-$need}" -ge "$need" ] ||
    say "$folder: $((free / 1024)) MB free, and full buffers would need $((need / 1024)) MB"
}

last_events=

# The text of a CPU's buffer ends where it was full. What other CPUs recorded later lacks its
# events, so that a judge would take for missing what was lost: the output ends there, too.
find_losses() {
  for dir in "$trace"/per_cpu/cpu*; do
    [ -r "$dir/stats" ] || continue
    cpu=${dir##*/cpu}
    full=$(sed -n 's/^dropped events: //p' "$dir/stats")
    lost=$(awk '/overrun: / { n += $NF } END { print n + 0 }' "$dir/stats")
    if [ "${full:-0}" -gt 0 ]; then
      last_events="$last_events$(tail -n 1 "$dir/trace")$newline"
      say "the buffer of CPU $cpu was full: the output ends there; take a larger --buffer"
    fi
    [ "$lost" -eq 0 ] || say "CPU $cpu lost $lost events"
  done
}

# Names of the events that are recorded completely. Of such an event the judge concludes, if there
# is none, that it did not happen. That is not so of locks of some tasks, nor of missed probes.
complete_events() {
  missed=$(awk '$3 > 0 { print $1 }' "$tracefs/kprobe_profile" 2>/dev/null | tr '\n' ' ')
  for name in $made $recorded; do
    event=${name##*/}
    case $name in
      "${group}_lk"/*) [ -z "$filtered" ] || continue ;;
    esac
    if has_word "$made" "$name" && has_word "$missed" "$event"; then
      say "some hits of the probe $event were missed: the output does not list it as complete"
      continue
    fi
    printf ' %s' "$event"
  done
}

# A return without a number would return, in a trap, what preceded the trap.
print_trace() {
  printf '# probes:%s\n' "$complete" &&
    if [ -z "$last_events" ]; then
      cat "$trace/trace"
    else
      LAST=$last_events awk '
        BEGIN { split(ENVIRON["LAST"], lines, "\n"); for (i in lines) last[lines[i]] }
        { print }
        $0 != "" && $0 in last { exit }
      ' "$trace/trace"
    fi
}

write_output() {
  find_losses
  complete=$(complete_events)
  failed=
  if [ -n "$compress" ]; then
    failed=$({ { print_trace || echo 1 >&3; } | gzip -c >"$part" || echo 1 >&3; } 3>&1)
  else
    print_trace >"$part" || failed=1
  fi
  [ -z "$failed" ] || die "$output: could not be written, and the capture is lost; is there room?"
  if [ -z "$force" ] && [ -e "$output" ]; then
    kept=$part
    part=
    die "$output: exists by now; the capture is in $kept"
  fi
  mv -f -- "$part" "$output" || die "$output: could not be written"
  part=
  say "$output: $(($(wc -c <"$output") / 1024)) KB; judge it with: sept trace $output"
}
