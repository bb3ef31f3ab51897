# syntax=docker/dockerfile:1
# A static binary, and nothing else: no shell, no root.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/ergon ./cmd/ergon && mkdir /out/data

FROM scratch
COPY --from=build /out/ergon /ergon
COPY --from=build --chown=65532:65532 /out/data /data
COPY examples/02-retail/ergon.yaml /etc/ergon/ergon.yaml
USER 65532:65532
WORKDIR /etc/ergon
ENTRYPOINT ["/ergon"]
CMD ["run"]
