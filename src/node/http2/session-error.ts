/**
 * What is done about the error of a session; 'close' follows. An error keeps the objects of its call stack alive until its stack is read
 * for the first time. One of them is the session's native half, which keeps the session by a callback for SETTINGS that the peer has not
 * acknowledged, and the session keeps the error: none of them, nor the connection, would ever be collected.
 */
export function letGo(error: Error): void {
  void error.stack;
}
