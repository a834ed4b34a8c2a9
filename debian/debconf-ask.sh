# Pasted into .config at build time, after debconf-lib.sh.

# read_file ACTION: let debconf know what stands in the file; OPEN becomes the keys that may be asked about.
read_file() {
	OPEN=
	for pair in $KEYS; do
		key=${pair%%=*}
		status=0
		in_file "$key" || status=$?
		if [ "$status" = 0 ]; then
			db_set "$OWNER/$key" "$VALUE" || true
		fi
		# On an upgrade the file is the answer.
		if [ "$status" = 2 ] || { [ "$status" = 0 ] && [ "$1" != reconfigure ]; }; then
			db_fset "$OWNER/$key" seen true || true
		fi
		if [ "$status" != 2 ]; then
			OPEN="$OPEN $pair"
		fi
	done
}

# check_answers: status 1 when an answer is no good; it will be asked again, or FALLBACK=yes takes the default.
check_answers() {
	good=0
	for pair in $OPEN ${SECRET:+"$SECRET="}; do
		key=${pair%%=*}
		db_get "$OWNER/$key" || continue
		valid "$key" "$RET" && continue
		# Each of debconf's commands answers in RET.
		answer=$RET
		good=1
		db_fset "$OWNER/$key" seen false || true
		if [ "$FALLBACK" = yes ]; then
			refuse "$key" "$answer" "its default is taken"
			db_set "$OWNER/$key" "${pair#*=}" || true
		fi
	done
	return $good
}

# ask: at most three times, and only once where nobody can be asked.
ask() {
	for turn in 1 2 3; do
		shown=
		for pair in $OPEN; do
			case "${pair%%=*}" in
			host | when) priority=medium ;;
			*) priority=low ;;
			esac
			if db_input "$priority" "$OWNER/${pair%%=*}"; then
				shown=yes
			fi
		done
		if [ -n "$SECRET" ]; then
			if db_input low "$OWNER/$SECRET"; then
				shown=yes
			fi
		fi
		db_go || true
		FALLBACK=no
		if [ -z "$shown" ] || [ "$turn" = 3 ]; then
			FALLBACK=yes
		fi
		if check_answers || [ "$FALLBACK" = yes ]; then
			return 0
		fi
	done
}

read_file "$1"
ask
exit 0
