# The demo app, `thumbnails`, for a cluster: docker build -t thumbnails . (flame-k8s/manifests/thumbnails.yaml runs it)
FROM rust:1-bookworm AS build
WORKDIR /app
COPY . .
RUN cargo build --release --locked --package flame-examples --features k8s --bin thumbnails

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install -y --no-install-recommends ffmpeg \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /app/target/release/thumbnails /usr/bin/thumbnails
# Nobody in particular: runners run as their parent does, and need not be root.
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["thumbnails"]
