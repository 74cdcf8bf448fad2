#!/bin/sh
# Makes sample.mp4, the clip that `thumbnails` uses when it is given no video: half a minute of moving colours with a
# running clock and a tone. Its index stands in front, so that it can be streamed. Needs ffmpeg with libx264.
set -eu
cd "$(dirname "$0")"
exec ffmpeg -v error -y \
    -f lavfi -i "testsrc2=size=320x180:rate=15:duration=30" \
    -f lavfi -i "sine=frequency=440:sample_rate=22050:duration=30" \
    -c:v libx264 -preset veryslow -crf 36 -pix_fmt yuv420p -g 150 \
    -c:a aac -b:a 16k -ac 1 \
    -map_metadata -1 -fflags +bitexact -flags:v +bitexact -flags:a +bitexact \
    -movflags +faststart sample.mp4
