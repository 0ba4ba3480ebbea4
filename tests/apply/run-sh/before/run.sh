#!/bin/sh
# Starts the UI.
#export COMMANDLINE_ARGS="--highvram"

# VRAM that the desktop keeps
export COMMANDLINE_ARGS="--listen  --lowvram --reserve-vram 9.5 --output-directory \"my videos\""
WAN_DTYPE=fp32   # slow
cd "$(dirname "$0")" || exit 1
if [ -f venv/bin/activate ]; then
    . venv/bin/activate
    EXTRA=$(cat extra.txt)
fi
exec python main.py $COMMANDLINE_ARGS $EXTRA "$@"
