# The image of Homing: one static binary, the authorities of the system, nothing else. Neither a shell nor a C library.
#
#     docker build -t homing .
#     docker run --rm -p 8080:8080 -v "$PWD/proxy.toml:/etc/homing/proxy.toml:ro" --ulimit nofile=524288 homing
#
# Not tested as an image: there was no Docker where this was written. What was tried by hand: the commands of the build
# stage on Debian 13 for x86_64 (a static binary of 12 MiB, 10.5 MiB stripped), and that binary in an empty root as user
# 65532 with the command below. aarch64 was not built.

FROM rust:1.95-slim-trixie AS build
# aws-lc-rs and mimalloc are C: for a static binary they need musl's compiler, and no CMake.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates gcc libc6-dev make musl-tools \
    && rm -rf /var/lib/apt/lists/* \
    && rustup target add "$(uname -m)-unknown-linux-musl"
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY benches ./benches
COPY docs/openapi.json ./docs/openapi.json
COPY src ./src
RUN cargo build --locked --release --bin homing --target "$(uname -m)-unknown-linux-musl" \
    && mkdir -p /root-of-image/etc/ssl/certs /root-of-image/etc/homing /root-of-image/var/lib/homing \
    && strip -o /root-of-image/homing "target/$(uname -m)-unknown-linux-musl/release/homing" \
    && cp /etc/ssl/certs/ca-certificates.crt /root-of-image/etc/ssl/certs/ \
    && chown 65532:65532 /root-of-image/var/lib/homing

FROM scratch
COPY --from=build /root-of-image /
# Nobody of the host. Ports below 1024 need net.ipv4.ip_unprivileged_port_start=0, which Docker sets by itself.
USER 65532:65532
# A file of your own belongs at /etc/homing/proxy.toml, and `state_dir`, if there is one, within /var/lib/homing.
VOLUME /var/lib/homing
EXPOSE 8080 8443 9900
# Sessions are told to go within server.shutdown_timeout (20 s): `docker stop -t 30`, since the default is 10 s.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/homing"]
CMD ["run", "-c", "/etc/homing/proxy.toml"]
# No HEALTHCHECK: there is nothing in the image that could ask. Have /healthz and /readyz of the admin listener asked
# from outside, as packaging/kubernetes.yaml does.
