import { backendTls } from '../files/backend-certificates.ts';
import { readHttpsFiles } from '../files/https-files.ts';
import { readPages } from '../files/page-files.ts';
import { Secrets } from '../files/secrets.ts';
import { readTicketKeys } from '../files/ticket-keys.ts';
import type { NodeLoaded } from './open-node.ts';

/** Reads what the settings name, as a start would. Opens no port. @throws ConfigError when it can't be used */
export function checkNode(settings: NodeLoaded['values']): number {
  readHttpsFiles(settings);
  backendTls(settings);
  readTicketKeys(settings);
  readPages(settings);
  void new Secrets(settings);
  console.log('The configuration is right.');
  return 0;
}
