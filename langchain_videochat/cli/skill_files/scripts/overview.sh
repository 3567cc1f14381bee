#!/bin/sh
# Index a video if it is not in the store yet, print the start of its timeline, and save a contact sheet of its frames.
#
# Usage: sh overview.sh VIDEO SHEET.jpg [MAX_TOKENS [PROFILE]]
set -eu

video=$1
sheet=$2

# Another profile than that of the store would index the video again.
videochat timeline "$video" --to 1 >/dev/null 2>&1 || videochat index "$video" --profile "${4:-lite}" --json >/dev/null
videochat timeline "$video" --max-tokens "${3:-3000}"
echo
videochat frames "$video" --sheet --output "$sheet" --overwrite
