# Pasted into .config and .postinst at build time: a file of another package is not there yet when debconf
# asks. The file is the truth, debconf only asks: what stands in the file is what the questions show, a key
# that is not in the file leaves debconf's answer alone, and what a line scan cannot read is left alone.
#
# The script sets: OWNER (first part of the templates' names), CONFIG (the YAML), KEYS (KEY=DEFAULT ...).

# yaml_scalar FILE KEY: print the value of a one-line scalar at column 0.
# Status 1: there is no such key. Status 2: there is, but nothing that a line scan understands.
yaml_scalar() {
	[ -e "$1" ] || return 1
	awk -v key="$2" '
		# A scalar may go on in indented lines.
		pending && /^[ \t]+[^# \t\r]/ { bad = 1 }
		/^[^# \t\r]/ { pending = 0 }
		index($0, key ":") == 1 {
			if (found++) bad = 1
			pending = 1
			value = substr($0, length(key) + 2)
			if (value !~ /^[ \t]/) bad = 1
			sub(/^[ \t]+/, "", value)
			sub(/[ \t\r]+$/, "", value)
			if (value ~ /^"[^"\\]*"([ \t]+#.*)?$/ || value ~ /^\047[^\047]*\047([ \t]+#.*)?$/) {
				quote = substr(value, 1, 1)
				value = substr(value, 2)
				value = substr(value, 1, index(value, quote) - 1)
			} else {
				sub(/[ \t]+#.*$/, "", value)
				if (value ~ /^([][{}&*!|>"%@`,?#:-]|\047|$)/ || value ~ /:([ \t]|$)/) bad = 1
				if (value ~ /^(~|null|Null|NULL)$/) bad = 1
			}
		}
		END {
			if (!found) exit 1
			if (bad) exit 2
			print value
		}' "$1"
}

# valid KEY VALUE
valid() {
	case "$1" in
	host) printf '%s' "$2" | grep -Eqx '[A-Za-z0-9:._-]{1,253}' ;;
	port) printf '%s' "$2" | grep -Eqx '[1-9][0-9]{0,4}' && [ "$2" -le 65535 ] ;;
	backend) case "$2" in auto | npu | cpu) ;; *) return 1 ;; esac ;;
	model) printf '%s' "$2" | grep -Eqx '[A-Za-z0-9][A-Za-z0-9._-]{0,127}' ;;
	when) case "$2" in now | background | never) ;; *) return 1 ;; esac ;;
	mirror) [ -z "$2" ] || printf '%s' "$2" | grep -Eqx '(https?:/)?/[!-~]{1,2000}' ;;
	api_key) [ -z "$2" ] || printf '%s' "$2" | grep -Eqx '[!-~]{8,256}' ;;
	esac
}

# allowed KEY: what an answer must be, for people.
allowed() {
	case "$1" in
	host) echo "an IP address or a host name" ;;
	port) echo "a number from 1 to 65535" ;;
	backend) echo "auto, npu or cpu" ;;
	model) echo "auto, demo, shapes or a model's name: letters, digits, points, dashes and underscores" ;;
	when) echo "now, background or never" ;;
	mirror) echo "empty, the absolute path of a folder, or an http or https URL" ;;
	api_key) echo "8 to 256 visible ASCII characters without spaces" ;;
	esac
}

# refuse KEY VALUE WHAT: name an answer that is not taken, but never show a key.
refuse() {
	case "$1" in
	api_key) complain "the answer to $OWNER/$1 is no key ($(allowed "$1")); $3" ;;
	*) complain "the answer '$2' to $OWNER/$1 is not allowed ($(allowed "$1")); $3" ;;
	esac
}

# in_file KEY: the value of a managed key in VALUE. Status 1: not there. Status 2: not ours to change.
in_file() {
	VALUE=$(yaml_scalar "$CONFIG" "$1") || return $?
	valid "$1" "$VALUE" || return 2
}

complain() {
	echo "$OWNER: $*" >&2
}
