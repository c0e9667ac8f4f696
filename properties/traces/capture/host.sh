# --- the host: what this kernel can record

require_host() {
  [ "$(id -u)" -eq 0 ] || die 'not root, which tracefs asks for: run this script with sudo'
  find_tracefs
  [ -d "$tracefs/events/kvm" ] ||
    die "$tracefs/events/kvm: absent, as KVM is not loaded; modprobe kvm_amd or kvm_intel"
}

# What the judge judges is the TDP MMU, which some hosts have off.
check_mmu() {
  if [ "$(cat /sys/module/kvm/parameters/tdp_mmu 2>/dev/null)" = N ]; then
    say 'kvm.tdp_mmu is N: KVM does not use the TDP MMU, and a capture has nothing to judge'
  fi
}

tracefs=

find_tracefs() {
  for dir in ${TRACEFS:+"$TRACEFS"} /sys/kernel/tracing /sys/kernel/debug/tracing; do
    if [ -e "$dir/events" ]; then
      tracefs=$dir
      break
    fi
    [ -z "${TRACEFS:-}" ] || die "TRACEFS=$TRACEFS: not a tracefs, which has a folder events"
  done
  [ -n "$tracefs" ] ||
    die 'no tracefs at /sys/kernel/tracing: mount -t tracefs tracefs /sys/kernel/tracing'
  [ -e "$tracefs/dynamic_events" ] ||
    die "$tracefs/dynamic_events: absent; the kernel needs CONFIG_KPROBE_EVENTS"
}

# Prints a version as a number: 6.12.117+deb12 is 6012.
number_of() {
  minor=${1#*.}
  minor=${minor%%[!0-9]*}
  case ${1%%.*}.$minor in
    *[!0-9.]* | .* | *.) die "uname -r: $1: not a version of Linux" ;;
  esac
  echo "$((${1%%.*} * 1000 + minor))"
}

lists=

# Chooses the lists of probes, the first first. A probe that does not attach is sought in the next.
choose_lists() {
  release=$(uname -r)
  number=$(number_of "$release") || exit "$FAILED"
  while read -r from names; do
    [ "$number" -ge "$(number_of "$from")" ] || continue
    lists=$names
    break
  done <<END
$(list_table)
END
  case $lists in
    '' | none)
      die "Linux $release: no list of probes is for it; to try one: sept probes --script --kernel V"
      ;;
  esac
  say "Linux $release: probes of the list$(joined ', then ' "$lists")"
  if ! has_word "$lists" tdx && probe_table | grep -q '|tdx|'; then
    say 'the probes of a TDX host are those of Linux 7.0 and later: left out'
  fi
}

# Prints words with a separator.
joined() {
  text=
  for word in $2; do
    text="$text${text:+$1}$word"
  done
  printf ' %s' "$text"
}

functions=unknown

# The functions of the lists that this kernel has: a probe takes no function that is inlined.
find_functions() {
  [ -r "$tracefs/available_filter_functions" ] || return 0
  functions=" $(
    probe_table | sed 's/.*|[^ ]* \([^ ]*\).*/\1/' |
      awk 'NR == FNR { wanted[$1]; next } $1 in wanted { print $1 }' \
        - "$tracefs/available_filter_functions" | tr '\n' ' '
  ) "
}
