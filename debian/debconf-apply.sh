# Pasted into .postinst at build time, after debconf-lib.sh.

# create_file VERSION: once, on the first installation; who deletes it later wants the defaults.
create_file() {
	if [ -e "$CONFIG" ] || { [ -n "$1" ] && [ -z "$DEBCONF_RECONFIGURE" ]; }; then
		return 0
	fi
	name=${CONFIG##*/}
	name=${name%.yaml}
	{
		cat <<-END
			# Settings of $name. Values can be changed here, with \`hailo-ctl config set\` or with
			# dpkg-reconfigure $OWNER; everything else in this file is left alone.
			# All keys with their defaults: /usr/share/$name/$name.yaml

		END
		for pair in $KEYS; do
			default=${pair#*=}
			echo "#${pair%%=*}: ${default:-\"\"}"
		done
	} >"${CONFIG%/*}/.${CONFIG##*/}.tmp"
	chmod 644 "${CONFIG%/*}/.${CONFIG##*/}.tmp"
	mv "${CONFIG%/*}/.${CONFIG##*/}.tmp" "$CONFIG"
}

# set_values KEY=VALUE ...: with the tool that keeps every other byte and checks the result first.
set_values() {
	name=${CONFIG##*/}
	hailo-ctl config set "${name%.yaml}" --quiet "$@" || complain "$CONFIG is left as it was"
}

# apply_answers: write what differs from the file, and of what is not in the file what differs from the default.
apply_answers() {
	[ -e "$CONFIG" ] || return 0
	set --
	for pair in $KEYS; do
		key=${pair%%=*}
		db_get "$OWNER/$key" || continue
		status=0
		in_file "$key" || status=$?
		case "$status" in
		0) [ "$RET" != "$VALUE" ] || continue ;;
		1) [ "$RET" != "${pair#*=}" ] || continue ;;
		2) continue ;;
		esac
		if valid "$key" "$RET"; then
			set -- "$@" "$key=$RET"
		else
			refuse "$key" "$RET" "$CONFIG keeps its value"
		fi
	done
	if [ $# -gt 0 ]; then
		set_values "$@"
	fi
}
