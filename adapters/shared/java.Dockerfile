# Of every adapter in Java, here of HiveMQ's client:
# docker build -t adapter-hivemq -f adapters/shared/java.Dockerfile --build-arg NAME=hivemq adapters
# mqtt-interop run --client hivemq-image=docker:adapter-hivemq
FROM maven:3.9-eclipse-temurin-17
ARG NAME
COPY shared/java /adapters/shared/java
COPY ${NAME} /adapters/${NAME}
WORKDIR /adapters/${NAME}
RUN mvn --quiet --batch-mode compile
CMD ["java", "-cp", "target/classes:target/lib/*", "Adapter"]
