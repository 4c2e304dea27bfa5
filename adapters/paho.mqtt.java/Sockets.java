import java.io.IOException;
import java.net.InetAddress;
import java.net.Socket;
import javax.net.SocketFactory;

/** Makes the sockets of a client, and can close the last one beneath it. */
final class Sockets extends SocketFactory {
  private volatile Socket last = new Socket();

  void close() {
    try {
      last.close();
    } catch (IOException problem) {
      problem.printStackTrace();
    }
  }

  @Override
  public Socket createSocket() { return last = new Socket(); }

  @Override
  public Socket createSocket(String host, int port) throws IOException { return last = new Socket(host, port); }

  @Override
  public Socket createSocket(InetAddress host, int port) throws IOException { return last = new Socket(host, port); }

  @Override
  public Socket createSocket(String host, int port, InetAddress from, int fromPort) throws IOException {
    return last = new Socket(host, port, from, fromPort);
  }

  @Override
  public Socket createSocket(InetAddress host, int port, InetAddress from, int fromPort) throws IOException {
    return last = new Socket(host, port, from, fromPort);
  }
}
