# The image of the driver: one static binary, the certificate authorities it trusts, the licences.
#
#   docker build --build-arg VERSION=0.1.0 --build-arg COMMIT="$(git rev-parse HEAD)" -t rds-csi:0.1.0 .
#
# docs/releasing.md has the whole of a release; testbed/image.sh builds it without Docker and without a
# registry. Only what Buildah 1.28 knows is used here: no heredocs, no COPY --link.

ARG RUST_IMAGE=docker.io/library/rust:1.95.0-slim-bookworm

FROM ${RUST_IMAGE} AS build
ARG VERSION
ARG COMMIT
WORKDIR /src
COPY . .
# A static binary needs --target, so that procedural macros and build scripts stay dynamic. Cargo
# compares times, and the cached target folder may be younger than sources it has never seen.
RUN --mount=type=cache,id=rds-csi-registry,target=/usr/local/cargo/registry \
    --mount=type=cache,id=rds-csi-target,target=/src/target,sharing=locked \
    set -eu; \
    grep -qx "version = \"$VERSION\"" Cargo.toml || { echo "Cargo.toml has not VERSION=$VERSION" >&2; exit 1; }; \
    target="$(uname -m)-unknown-linux-gnu"; \
    find ARCHITECTURE.md Cargo.* proto src -type f -exec touch {} +; \
    mkdir -p testbed/src /out/etc/ssl/certs /out/licenses; \
    touch testbed/src/lib.rs; \
    RDS_CSI_COMMIT="$COMMIT" RUSTFLAGS='-C target-feature=+crt-static' \
        cargo build --locked --no-default-features --bin rds-csi --profile image --target "$target"; \
    cp "target/$target/image/rds-csi" /out/; \
    cp /etc/ssl/certs/ca-certificates.crt /out/etc/ssl/certs/; \
    cp LICENSE /out/licenses/; \
    .ci/third-party.sh "$target" >/out/licenses/THIRD-PARTY

# The controller. A `node` target, which needs mkfs and mount beside the same binary, comes after this
# stage with a FROM of its own and the same COPY.
FROM scratch AS controller
ARG VERSION
ARG COMMIT
ARG SOURCE=
LABEL org.opencontainers.image.title="rds-csi" \
      org.opencontainers.image.description="Kubernetes CSI driver for MikroTik ROSE Data Servers" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
COPY --from=build /out/ /
# nobody, by number: there is no /etc/passwd, and Kubernetes checks runAsNonRoot by number only.
USER 65532:65532
ENTRYPOINT ["/rds-csi"]
