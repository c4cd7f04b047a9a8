import { readFileSync } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import { OWN_PAGE, type PageFacts, PageTemplate, PLACEHOLDERS } from '../../../../src/node/http1/waiting-page.ts';

const FACTS: PageFacts = { route: 'app.test', host: 'app.test', state: 'busy', position: 12, waitMs: 21_400 };

describe('a page', () => {
  test('says what its placeholders stand for', () => {
    const names = Object.keys(PLACEHOLDERS);
    const page = new PageTemplate(names.map((name) => `${name}={{${name}}}`).join('\n'));
    expect(page.render(FACTS).split('\n')).toEqual([
      'message=This application is busy.',
      'place=You are number 12 in line.',
      'position=12',
      'wait=about 20 seconds',
      'wait_seconds=22',
      'state=busy',
      'route=app.test',
      'host=app.test',
      'refresh_seconds=1',
    ]);
  });

  test('says nothing of what is not known', () => {
    const page = new PageTemplate('{{place}}{{position}}{{wait}}{{ wait_seconds }}');
    expect(page.render({ ...FACTS, position: null, waitMs: null })).toBe('');
    expect(new PageTemplate('{{place}}').render({ ...FACTS, position: 1 })).toBe('You are next.');
  });

  test('is text wherever a stranger has a say', () => {
    const page = new PageTemplate('<a title="{{host}}">{{host}}</a>');
    const html = page.render({ ...FACTS, host: `"><script>alert('&')</script>` });
    const said = '&quot;&gt;&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;';
    expect(html).toBe(`<a title="${said}">${said}</a>`);
    expect(new PageTemplate('{{host}}').render({ ...FACTS, host: '{{route}}' })).toBe('{{route}}');
  });

  test('with a placeholder that does not exist can not be used', () => {
    for (const name of ['postion', 'constructor', '__proto__']) expect(() => new PageTemplate(`{{${name}}}`)).toThrow(`{{${name}}}`);
    expect(new PageTemplate('a { b: {c} } {{ }} {{a b}}').render(FACTS)).toBe('a { b: {c} } {{ }} {{a b}}');
  });

  test.each([
    [0, 'a few seconds'],
    [7_000, 'a few seconds'],
    [9_000, 'about 10 seconds'],
    [57_000, 'about 55 seconds'],
    [59_000, 'about a minute'],
    [150_000, 'about 3 minutes'],
    [9e9, 'more than an hour'],
  ])('says %i ms in words', (waitMs, words) => {
    expect(new PageTemplate('{{wait}}').render({ ...FACTS, waitMs })).toBe(words);
  });

  test('of pullproxy says place and time', () => {
    expect(OWN_PAGE.render(FACTS)).toContain('You are number 12 in line.');
    expect(OWN_PAGE.render(FACTS)).toContain('It takes about 20 seconds.');
  });
});

test('deploy/README.md names every placeholder, and no others', () => {
  const text = readFileSync(new URL('../../../../deploy/README.md', import.meta.url), 'utf8');
  const section = text.slice(text.indexOf('### The waiting page'), text.indexOf('## Deploying a new version'));
  expect(new Set([...section.matchAll(/\{\{(\w+)\}\}/g)].map(([, name]) => name))).toEqual(new Set(Object.keys(PLACEHOLDERS)));
});
